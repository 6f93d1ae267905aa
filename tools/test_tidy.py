#!/usr/bin/env python3
"""Every rule of tidy.py finds the tree that breaks it, and none complains about one that does not."""

import tempfile
import unittest
from pathlib import Path

import tidy

ROOT_MANIFEST = """[workspace]
members = ["crates/*"]

[workspace.dependencies]
lakehead-log = { path = "crates/lakehead-log" }
serde = "1" # wire types
"""


def crate(name: str, *lines: str) -> str:
    return f'[package]\nname = "{name}"\n\n[dependencies]\n' + "".join(f"{line}\n" for line in lines)


CLEAN = {
    "Cargo.toml": ROOT_MANIFEST,
    "crates/lakehead-log/Cargo.toml": crate("lakehead-log", "serde.workspace = true"),
    "crates/lakehead-log/src/lib.rs": "mod segment;\n",
    "crates/lakehead-log/src/segment.rs": "// a segment\n",
    "crates/lakehead-sink/Cargo.toml": crate("lakehead-sink", "parquet.workspace = true", "object_store.workspace = true"),
    "crates/lakehead-transform/Cargo.toml": crate("lakehead-transform", "datafusion = { workspace = true }"),
}


class Tidy(unittest.TestCase):
    def violations(self, changes: dict[str, str], ratchet: dict[str, int] | None = None) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            tree = {**CLEAN, **changes}
            for file, text in tree.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(text)
            return tidy.check(root, sorted(tree), ratchet or {})

    def assert_one(self, changes: dict[str, str], text: str, ratchet: dict[str, int] | None = None):
        found = self.violations(changes, ratchet)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.violations({}), [])

    def test_steps_of_the_data_flow_may_not_know_each_other(self):
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            text = f'[package]\nname = "lakehead-decode"\n[{kind}]\nlakehead-log.workspace = true\n'
            self.assert_one({"crates/lakehead-decode/Cargo.toml": text}, "must not depend on lakehead-log")

    def test_an_alias_hides_no_dependency(self):
        text = crate("lakehead-decode", 'log = { workspace = true, package = "lakehead-log" }')
        self.assert_one({"crates/lakehead-decode/Cargo.toml": text}, "must not depend on lakehead-log")

    def test_heavy_dependencies_have_their_owners(self):
        for name, owner in [
            ("datafusion", "lakehead-transform"), ("datafusion-functions-json", "lakehead-transform"),
            ("parquet", "lakehead-sink and lakehead-table"), ("iceberg", "lakehead-table"), ("object_store", "lakehead-sink"),
        ]:
            text = crate("lakehead-server", f"{name}.workspace = true")
            self.assert_one({"crates/lakehead-server/Cargo.toml": text}, f"only {owner} may depend on {name}")

    def test_the_model_stays_light(self):
        text = crate("lakehead-model", "arrow-schema.workspace = true")
        self.assert_one({"crates/lakehead-model/Cargo.toml": text}, "must not depend on arrow-schema")

    def test_versions_are_in_one_place(self):
        for line in ('serde = "1"', 'serde = { version = "1" }'):
            text = crate("lakehead-log", line)
            self.assert_one({"crates/lakehead-log/Cargo.toml": text}, "must be `workspace = true`")

    def test_a_crate_may_name_itself_for_its_tests(self):
        text = crate("lakehead-disk") + '[dev-dependencies]\nlakehead-disk = { path = ".", features = ["sim"] }\n'
        self.assertEqual(self.violations({"crates/lakehead-disk/Cargo.toml": text}), [])

    def test_a_crate_lives_in_a_folder_of_its_name(self):
        self.assert_one({"crates/logging/Cargo.toml": crate("lakehead-log")}, "folder of another name")

    def test_a_dependency_says_what_it_is_for(self):
        self.assert_one({"Cargo.toml": ROOT_MANIFEST + 'tokio = "1"\n'}, "does not say what it is for")
        self.assert_one({"Cargo.toml": ROOT_MANIFEST + 'tokio = "1" #\n'}, "does not say what it is for")

    def test_names_that_say_nothing_are_found_in_files_folders_and_modules(self):
        self.assert_one({"crates/lakehead-log/src/utils.rs": "\n"}, "'utils'")
        self.assert_one({"crates/lakehead-log/src/common/frame.rs": "\n"}, "'common'")
        self.assert_one({"tools/helpers.py": "\n"}, "'helpers'")
        self.assert_one({"crates/lakehead-log/src/lib.rs": "pub(crate) mod types {\n}\n"}, "module 'types'")
        self.assertEqual(self.violations({"crates/lakehead-log/src/arrow_types.rs": "\n"}), [])

    def test_files_end_somewhere(self):
        file = "crates/lakehead-log/src/long.rs"
        self.assertEqual(self.violations({file: "\n" * 700}), [])
        self.assert_one({file: "\n" * 701}, "701 lines")
        self.assertEqual(self.violations({file: "\n" * 701}, {file: 701}), [])
        self.assert_one({file: "\n" * 702}, "702 lines", {file: 701})
        self.assert_one({file: "\n" * 650}, "lower it", {file: 701})
        self.assert_one({}, "does not exist", {file: 701})

    def test_places_that_exist_only_elsewhere_are_not_named(self):
        for text in ("/ro" + "ot/x", "/wo" + "rk/x", "/home/" + "ada/x", "https://registry.n" + "pmjs.org/x", "https://p" + "ypi.org/"):
            self.assert_one({"README.md": f"see {text}\n"}, "exists only elsewhere")


if __name__ == "__main__":
    unittest.main()
