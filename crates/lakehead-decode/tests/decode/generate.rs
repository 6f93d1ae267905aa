//! Random schemas and random records, valid and broken.

use lakehead_model::Random;
use lakehead_model::Schema;
use lakehead_model::random::SeededRandom;
use lakehead_model::schema::{BinarySpelling, Field, FieldType, TimeUnit};

pub(crate) struct Dice(SeededRandom);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(SeededRandom::new(seed))
    }

    pub(crate) fn below(&self, n: usize) -> usize {
        usize::try_from(self.0.u64() % n as u64).unwrap()
    }

    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn schema(&self) -> Schema {
        Schema { fields: self.fields(1 + self.below(8), 0), inferred: None }
    }

    fn fields(&self, count: usize, depth: usize) -> Vec<Field> {
        const NAMES: [&str; 8] =
            ["id", "a", "näme", "a much longer name than sixteen", "q\"uote", "A", "a.b", "back\\slash"];
        (0..count).map(|i| self.field(NAMES[i], depth)).collect()
    }

    fn field(&self, name: &str, depth: usize) -> Field {
        let unit = self.pick(&[
            TimeUnit::Second,
            TimeUnit::Millisecond,
            TimeUnit::Microsecond,
            TimeUnit::Nanosecond,
        ]);
        let precision = u8::try_from(1 + self.below(38)).unwrap();
        let scale = u8::try_from(self.below(usize::from(precision) + 1)).unwrap();
        let field_type = match self.below(if depth < 3 { 16 } else { 12 }) {
            0 => FieldType::Bool,
            1 => FieldType::Int32,
            2 => FieldType::Int64,
            3 => FieldType::Uint32,
            4 => FieldType::Uint64,
            5 => FieldType::Float32,
            6 => FieldType::Float64,
            7 => FieldType::Decimal128 { precision, scale },
            8 => FieldType::String,
            9 => FieldType::Binary { spelling: BinarySpelling::Binary },
            10 => FieldType::Timestamp { unit },
            11 => FieldType::Json,
            12 | 13 => FieldType::Struct(self.fields(1 + self.below(4), depth + 1)),
            _ => FieldType::List(Box::new(self.field("item", depth + 1))),
        };
        Field { name: name.to_owned(), field_type, required: self.one_in(3) }
    }

    fn white(&self, out: &mut String) {
        if self.one_in(12) {
            for _ in 0..=self.below(3) {
                out.push(self.pick(&[' ', '\n', '\r', '\t']));
            }
        }
    }

    /// A record for the schema. One value in `wrong` is of a random kind.
    pub(crate) fn record(&self, schema: &Schema, wrong: usize) -> String {
        let mut out = String::new();
        self.object(&schema.fields, wrong, &mut out);
        out
    }

    fn object(&self, fields: &[Field], wrong: usize, out: &mut String) {
        let mut order: Vec<&Field> =
            fields.iter().filter(|f| !self.one_in(if f.required { wrong * 2 } else { 5 })).collect();
        if self.one_in(6) && !order.is_empty() {
            let from = self.below(order.len());
            order.rotate_left(from);
        }
        if self.one_in(10) && !order.is_empty() {
            order.push(order[self.below(order.len())]);
        }
        out.push('{');
        self.white(out);
        let mut first = true;
        for field in order {
            if !first {
                out.push(',');
                self.white(out);
            }
            first = false;
            if self.one_in(12) {
                self.key("unknown", out);
                self.any(3, out);
                out.push(',');
                self.white(out);
            }
            self.key(&field.name, out);
            self.value(field, wrong, out);
            self.white(out);
        }
        out.push('}');
    }

    fn key(&self, name: &str, out: &mut String) {
        out.push('"');
        for c in name.chars() {
            if self.one_in(30) {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else if matches!(c, '"' | '\\') {
                out.push('\\');
                out.push(c);
            } else {
                out.push(c);
            }
        }
        out.push('"');
        self.white(out);
        out.push(':');
        self.white(out);
    }

    fn value(&self, field: &Field, wrong: usize, out: &mut String) {
        if self.one_in(wrong) {
            return self.any(3, out);
        }
        if !field.required && self.one_in(6) {
            out.push_str("null");
            return;
        }
        match &field.field_type {
            FieldType::Bool => out.push_str(self.pick(&["true", "false"])),
            FieldType::Int32
            | FieldType::Int64
            | FieldType::Uint32
            | FieldType::Uint64
            | FieldType::Float32
            | FieldType::Float64
            | FieldType::Decimal128 { .. } => {
                let text = self.number();
                if self.one_in(5) { out.push_str(&format!("\"{text}\"")) } else { out.push_str(&text) }
            }
            FieldType::String => self.string(out),
            FieldType::Binary { .. } => out.push_str(self.pick(&[
                "\"\"",
                "\"aGVsbG8=\"",
                "\"aGVsbG8\"",
                "\"_-8=\"",
                "\"\\/+8\"",
                "\"AA==\"",
                "\"AA\"",
                "\"AAAA\"",
                "\"A\"",
                "\"AB==\"",
                "\"a_+b\"",
                "\"aGVsbG8==\"",
                "\"a GVs\"",
                "\"=\"",
                "\"AAA==\"",
                "\"AA=\"",
                "\"AAA=\"",
            ])),
            FieldType::Timestamp { .. } if self.one_in(6) => out.push_str(&self.number()),
            FieldType::Timestamp { .. } => out.push_str(&self.timestamp()),
            FieldType::Json => self.any(4, out),
            FieldType::Struct(fields) => self.object(fields, wrong, out),
            FieldType::List(item) => {
                out.push('[');
                self.white(out);
                for i in 0..self.below(4) {
                    if i > 0 {
                        out.push(',');
                        self.white(out);
                    }
                    self.value(item, wrong * 2, out);
                    self.white(out);
                }
                out.push(']');
            }
        }
    }

    pub(crate) fn number(&self) -> String {
        const CORNERS: [&str; 38] = [
            "0",
            "-0",
            "1",
            "-1",
            "5.0",
            "5.9",
            "-5.9",
            "-0.5",
            "0.1",
            "1e3",
            "1E-3",
            "1.5e+2",
            "2147483647",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "4294967295",
            "4294967296",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775807.999",
            "1e400",
            "-1e400",
            "1e-400",
            "0e999999999999999999999",
            "3.4028236e38",
            "16777217",
            "0.30000000000000004",
            "123456789012345678",
            "1234567890123456789",
            "99999999999999999999999999999999999999",
            "100000000000000000000000000000000000000",
            "0.000000000000000000000000000000000000000000001e45",
        ];
        match self.below(6) {
            0 | 1 => self.pick(&CORNERS).to_owned(),
            2 => format!("{}", self.below(100_000)),
            3 => format!("-{}.{}", self.below(1000), self.below(1_000_000)),
            4 => format!("{}.{:02}", self.below(1000), self.below(100)),
            _ => format!("{}{}e{}", self.below(1_000_000_000), self.below(1_000_000_000), self.below(30)),
        }
    }

    pub(crate) fn timestamp(&self) -> String {
        let date = match self.below(8) {
            0 => self
                .pick(&[
                    "1970-01-01",
                    "0000-01-01",
                    "9999-12-31",
                    "2000-02-29",
                    "1900-02-29",
                    "2026-13-01",
                    "1677-09-21",
                    "2262-04-11",
                    "1969-12-31",
                    "2026-00-10",
                    "2026-04-31",
                    "2024-02-29",
                    "2026-1-01",
                ])
                .to_owned(),
            _ => format!("{:04}-{:02}-{:02}", 1900 + self.below(200), 1 + self.below(12), 1 + self.below(31)),
        };
        if self.one_in(10) {
            return format!("\"{date}\"");
        }
        let separator = self.pick(&["T", "T", "T", "t", " ", "_"]);
        let clock = match self.below(10) {
            0 => self
                .pick(&["24:00:00", "23:59:60", "12:00:60", "23:60:00", "00:12:43", "23:47:16", "7:00:00"])
                .to_owned(),
            1 => format!("{:02}:{:02}", self.below(24), self.below(60)),
            _ => format!("{:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60)),
        };
        let fraction = self.pick(&[
            "",
            ".1",
            ".123",
            ".123456",
            ".123456789",
            ".1234567890",
            ".",
            ".854775807",
            ".854775808",
        ]);
        let zone = self.pick(&[
            "", "Z", "Z", "z", "+02:00", "-0530", "+14", "-00:00", "+24:00", "+1:00", "UTC", " +02:00",
            "+02:60",
        ]);
        format!("\"{date}{separator}{clock}{fraction}{zone}\"")
    }

    fn string(&self, out: &mut String) {
        out.push('"');
        for _ in 0..self.below(5) {
            match self.below(8) {
                0 => out.push_str(self.pick(&[
                    "\\n",
                    "\\\"",
                    "\\\\",
                    "\\/",
                    "\\b\\f\\r\\t",
                    "\\u0000",
                    "\\u00e9",
                    "\\ud83c\\udf00",
                ])),
                1 => out.push_str(self.pick(&[
                    "\\ud800",
                    "\\udc00",
                    "\\ud800\\ud800",
                    "\\udc00\\ud800x",
                    "\\ud83c\\n",
                    "\\uD83Cx\\uDF00",
                ])),
                2 => out.push_str(self.pick(&["é", "日本語のページ", "🌀", "\u{7f}", "\u{FFFD}"])),
                3 => out.push_str(&"0123456789abcdef"[..self.below(17)]),
                _ => out.push_str(self.pick(&[
                    "a",
                    "some words ",
                    "42",
                    "https://example.com/a?b=c",
                    "{[,:]}",
                ])),
            }
        }
        out.push('"');
    }

    /// Any JSON value.
    pub(crate) fn any(&self, depth: usize, out: &mut String) {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => out.push_str("null"),
            1 => out.push_str(self.pick(&["true", "false"])),
            2 => out.push_str(&self.number()),
            3 => out.push_str(self.pick(&[
                "\"42\"", "\"+7\"", "\"007\"", "\" 1\"", "\"NaN\"", "\"1.\"", "\".5\"", "\"\"", "\"1e2\"",
                "\"inf\"", "\"0x10\"", "\"-\"",
            ])),
            4 => self.string(out),
            5 => out.push_str(&self.timestamp()),
            6 => {
                out.push('[');
                self.white(out);
                for i in 0..self.below(4) {
                    if i > 0 {
                        out.push(',');
                        self.white(out);
                    }
                    self.any(depth - 1, out);
                    self.white(out);
                }
                out.push(']');
            }
            _ => {
                out.push('{');
                self.white(out);
                for i in 0..self.below(4) {
                    if i > 0 {
                        out.push(',');
                        self.white(out);
                    }
                    self.key(self.pick(&["a", "b", "id"]), out);
                    self.any(depth - 1, out);
                    self.white(out);
                }
                out.push('}');
            }
        }
    }

    /// The text with a few bytes changed, dropped or doubled.
    pub(crate) fn mutate(&self, text: &[u8]) -> Vec<u8> {
        const BYTES: &[u8] = b"{}[]:,\"\\ \n\t0123456789-+.eEtrufalsn\x00\x1f\x7f\x80\xc3\xff";
        let mut out = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(out.len() + 1);
            match self.below(4) {
                0 => out.insert(at, self.pick(BYTES)),
                1 if at < out.len() => out[at] = self.pick(BYTES),
                2 if at < out.len() => {
                    out.remove(at);
                }
                3 => out.truncate(at),
                _ => {
                    let to = (at + self.below(8)).min(out.len());
                    let piece = out[at..to].to_vec();
                    let target = self.below(out.len() + 1);
                    out.splice(target..target, piece);
                }
            }
        }
        out
    }
}
