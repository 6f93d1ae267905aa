"""`wrangler pipelines setup`: its questions in their order, answered through a terminal."""

from terminal import Terminal
from wrangler import Wrangler


class Setup:
    """One run. Every step answers a part of the questions; `finish` waits for the end."""

    def __init__(self, wrangler: Wrangler, name: str, environment: dict[str, str] | None = None):
        self.name = name
        # It asks only outside CI.
        self.terminal = Terminal(
            [*wrangler.program, "pipelines", "setup", "--name", name], wrangler.folder,
            {**wrangler.environment, "CI": "false", **(environment or {})},
        )

    def stream(self, http: bool = True, authentication: bool | None = None, origins: str | None = None, schema=None):
        """`authentication` None takes what is offered; `schema` is a file, or fields as (name, type, required)."""
        terminal = self.terminal
        terminal.confirm("Enable HTTP endpoint for sending data?", http)
        if http:
            if authentication is None:
                terminal.answer("Require authentication for HTTP endpoint?")
            else:
                terminal.confirm("Require authentication for HTTP endpoint?", authentication)
            terminal.confirm("Configure custom CORS origins?", origins is not None)
            if origins is not None:
                terminal.answer("CORS origins (comma-separated, or * for all):", origins)
        question = "How would you like to define the schema for incoming events?"
        if schema is None:
            terminal.choose(question, "Skip (unstructured)")
        elif isinstance(schema, list):
            terminal.choose(question, "Build interactively")
            self._fields(schema)
        else:
            terminal.choose(question, "Load from file")
            terminal.answer("Schema file path:", str(schema))

    def _fields(self, fields: list):
        for number, field in enumerate(fields, 1):
            self._field(field, 0)
            self.terminal.confirm(f"Add field #{number + 1}?", number < len(fields))

    def _field(self, field: tuple, depth: int):
        """(name, type, required); a timestamp has a unit after them, a struct its fields, a list its item."""
        terminal = self.terminal
        indent = "  " * depth
        name, kind, required, *inner = field
        terminal.answer(f"{indent}  Name:", name)
        terminal.choose(f"{indent}  Type:", kind)
        terminal.confirm(f"{indent}  Required?", required)
        if kind == "timestamp":
            terminal.choose(f"{indent}  Unit:", inner[0])
        elif kind == "struct":
            for number, nested in enumerate(inner[0], 1):
                self._field(nested, depth + 1)
                terminal.confirm(f"{indent}Add another field to struct '{name}'?", number < len(inner[0]))
        elif kind == "list":
            self._field(inner[0], depth + 1)

    def r2_sink(self, bucket: str):
        """The simple variant: the page that grants access opens in a browser."""
        self._sink("R2 Bucket", "Simple", bucket)

    def r2_sink_with_keys(self, bucket: str, path: str, pattern: str, format: str, compression: str, mb: int, seconds: int,
                          access_key_id: str, secret_access_key: str):
        """The advanced variant with keys of one's own."""
        terminal = self.terminal
        self._sink("R2 Bucket", "Advanced", bucket)
        terminal.answer("The base prefix in your bucket where data will be written (optional):", path)
        terminal.answer("Time partition pattern (optional):", pattern)
        terminal.choose("Output format:", format)
        terminal.choose("Compression:", compression)
        self._roll(10, mb, seconds)
        terminal.confirm("Automatically generate credentials needed to write to your R2 bucket?", False)
        terminal.answer("R2 Access Key ID:", access_key_id)
        terminal.answer("R2 Secret Access Key:", secret_access_key)

    def catalog_sink(self, bucket: str, table: str, token: str):
        self._sink("Basin Catalog", "Simple", bucket)
        self.terminal.answer("Table name (e.g. events, user_activity):", table)
        self.terminal.answer("Catalog API token:", token)

    def catalog_sink_with_options(self, bucket: str, namespace: str, table: str, token: str, compression: str, mb: int, seconds: int):
        terminal = self.terminal
        self._sink("Basin Catalog", "Advanced", bucket)
        terminal.answer("Namespace:", namespace)
        terminal.answer("Table name:", table)
        terminal.answer("Catalog API token:", token)
        terminal.choose("Compression:", compression)
        self._roll(60, mb, seconds)

    def _sink(self, kind: str, mode: str, bucket: str):
        self.terminal.choose("Destination type:", kind)
        self.terminal.choose("Setup mode:", mode)
        self.terminal.answer("R2 bucket name (will be created if it doesn't exist):", bucket)

    def _roll(self, minimum: int, mb: int, seconds: int):
        self.terminal.answer("Roll file when size reaches (MB, minimum 5):", str(mb))
        self.terminal.answer(f"Roll file when time reaches (seconds, minimum {minimum}):", str(seconds))

    def create(self, yes: bool = True):
        self.terminal.confirm("Create resources?", yes)

    def decline(self, question: str):
        """Answers an offer to try again."""
        self.terminal.confirm(question, False)

    def simple_sql(self):
        self.terminal.choose("Query:", "Simple ingestion")

    def sql(self, *lines: str):
        terminal = self.terminal
        terminal.choose("Query:", "Write custom SQL")
        for line, prompt in zip((*lines, ""), ("SQL>", *["...>"] * len(lines))):
            terminal.answer(prompt, line)

    def finish(self, code: int = 0) -> str:
        return self.terminal.finish(code)
