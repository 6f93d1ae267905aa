//! Clickstream events for benchmarks: 18 fields, about 700 bytes, with the noise of real producers (missing and null
//! optional fields, now and then another key order, spaces between tokens, an unknown key, escapes, non-ASCII text).
//! The same seed gives the same bytes.

use lakehead_model::Random;
use lakehead_model::random::SeededRandom;

pub(crate) const SCHEMA: &str = r#"{"fields":[
    {"name":"event_id","type":"string","required":true},
    {"name":"ts","type":"timestamp","unit":"microsecond","required":true},
    {"name":"event_type","type":"string","required":true},
    {"name":"user_id","type":"int64","required":true},
    {"name":"session_id","type":"string","required":true},
    {"name":"url","type":"string","required":true},
    {"name":"referrer","type":"string"},
    {"name":"title","type":"string"},
    {"name":"user_agent","type":"string"},
    {"name":"ip","type":"string"},
    {"name":"country","type":"string"},
    {"name":"is_bot","type":"bool","required":true},
    {"name":"duration_ms","type":"int32"},
    {"name":"price","type":"float64"},
    {"name":"score","type":"float64"},
    {"name":"tags","type":"list","items":{"type":"string"}},
    {"name":"device","type":"struct","fields":[
        {"name":"os","type":"string"},{"name":"browser","type":"string"},{"name":"mobile","type":"bool"},
        {"name":"screen","type":"struct","fields":[{"name":"w","type":"int32"},{"name":"h","type":"int32"}]}]},
    {"name":"props","type":"json"}]}"#;

const TYPES: [&str; 10] = [
    "page_view",
    "page_view",
    "page_view",
    "page_view",
    "page_view",
    "page_view",
    "click",
    "click",
    "add_to_cart",
    "purchase",
];
const CATEGORIES: [&str; 8] = ["shoes", "books", "garden", "toys", "audio", "phones", "kitchen", "outlet"];
const WORDS: [&str; 12] = [
    "quick", "brown", "light", "solid", "river", "stone", "cloud", "wireless", "leather", "cotton", "carbon",
    "silver",
];
const FOREIGN: [&str; 5] = ["café crème", "Größe wählen", "日本語のページ", "Привет мир", "emoji 🌀 ok"];
const ESCAPED: [&str; 5] =
    ["5\\\" screen", "tab\\there", "back\\\\slash", "caf\\u00e9", "\\ud83c\\udf00 pipelines"];
const TAGS: [&str; 8] =
    ["new", "returning", "promo", "mobile", "ab-test-17", "beta", "newsletter", "organic"];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.71 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
];
const SCREENS: [(u32, u32); 4] = [(1920, 1080), (1440, 900), (390, 844), (412, 915)];

/// The generator; an iterator of events without line ends.
pub(crate) struct Clickstream {
    random: SeededRandom,
    millis: u64,
}

impl Clickstream {
    pub(crate) fn new(seed: u64) -> Self {
        Clickstream { random: SeededRandom::new(seed), millis: 0 }
    }

    fn below(&self, n: u64) -> u64 {
        self.random.u64() % n
    }

    fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn identity(&self, kv: &mut Vec<(&'static str, String)>) {
        let id = format!("{:032x}", self.random.u128());
        kv.push((
            "event_id",
            format!("\"{}-{}-4{}-a{}-{}\"", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..]),
        ));
        let (seconds, millis) = (self.millis / 1000 % 86_400, self.millis % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let fraction = if self.percent(95) {
            format!("{millis:03}")
        } else {
            format!("{millis:03}{:03}", self.below(512))
        };
        let zone = if self.percent(97) { "Z" } else { "+02:00" };
        kv.push(("ts", format!("\"2026-01-01T{hour:02}:{minute:02}:{second:02}.{fraction}{zone}\"")));
        kv.push(("event_type", format!("\"{}\"", self.pick(&TYPES))));
        kv.push(("user_id", (self.below(20_000) * 54_975_581).to_string()));
        kv.push(("session_id", format!("\"{:016x}\"", self.random.u64())));
    }

    fn page(&self, kv: &mut Vec<(&'static str, String)>) {
        let (category, one, two) = (self.pick(&CATEGORIES), self.pick(&WORDS), self.pick(&WORDS));
        let (item, tag, pos) = (self.below(100_000), self.pick(&TAGS), self.below(50));
        kv.push((
            "url",
            format!("\"https://shop.example.com/{category}/{one}-{two}-{item}?utm_source={tag}&pos={pos}\""),
        ));
        match self.below(10) {
            0..7 => kv
                .push(("referrer", format!("\"https://www.example.org/blog/post-{}\"", self.below(1 << 24)))),
            7 => kv.push(("referrer", "null".to_owned())),
            _ => {}
        }
        let extra = match self.below(100) {
            0..3 => self.pick(&ESCAPED),
            3..8 => self.pick(&FOREIGN),
            _ => "",
        };
        kv.push(("title", format!("\"{one} {two} {category} - Shop {extra}\"")));
        kv.push(("user_agent", format!("\"{}\"", self.pick(&AGENTS))));
        let (a, b, c, d) = (1 + self.below(127), self.below(256), self.below(256), self.below(256));
        kv.push(("ip", format!("\"{a}.{b}.{c}.{d}\"")));
        kv.push(("country", format!("\"{}\"", self.pick(&["US", "DE", "FR", "GB", "IN", "BR", "JP"]))));
    }

    fn measures(&self, kv: &mut Vec<(&'static str, String)>) {
        kv.push(("is_bot", self.percent(3).to_string()));
        if self.percent(90) {
            kv.push(("duration_ms", self.below(120_000).to_string()));
        }
        match self.below(10) {
            0..4 => kv.push(("price", format!("{}.{:02}", self.below(900), self.below(100)))),
            4 | 5 => kv.push(("price", "null".to_owned())),
            _ => {}
        }
        let score = self.below(1_000_000);
        kv.push((
            "score",
            if self.percent(98) {
                format!("0.{score:06}")
            } else {
                format!("{}.{:03}e-01", score % 9 + 1, score % 1000)
            },
        ));
        let tags: Vec<_> = (0..self.below(4)).map(|_| format!("\"{}\"", self.pick(&TAGS))).collect();
        kv.push(("tags", format!("[{}]", tags.join(","))));
        if self.percent(95) {
            let (w, h) = self.pick(&SCREENS);
            let (os, browser) = (
                self.pick(&["Windows", "macOS", "iOS", "Android"]),
                self.pick(&["Chrome", "Safari", "Firefox"]),
            );
            let mobile = w < 800;
            kv.push((
                "device",
                format!("{{\"os\":\"{os}\",\"browser\":\"{browser}\",\"mobile\":{mobile},\"screen\":{{\"w\":{w},\"h\":{h}}}}}"),
            ));
        }
        match self.below(20) {
            0..9 => kv.push((
                "props",
                format!("{{\"experiment\":\"exp-{}\",\"variant\":\"{}\",\"pos\":{}}}", self.below(32), self.pick(&["A", "B"]), self.below(64)),
            )),
            9..15 => kv.push((
                "props",
                format!(
                    "{{\"sku\":\"SKU-{:06}\",\"qty\":{},\"attrs\":{{\"color\":\"{}\",\"sizes\":[{},{}]}},\"gift\":{}}}",
                    self.below(100_000), 1 + self.below(4), self.pick(&WORDS), 36 + self.below(8), 38 + self.below(8), self.percent(50)
                ),
            )),
            15..18 => kv.push((
                "props",
                format!("{{\"x\":{},\"y\":{},\"el\":\"#btn-{}\",\"depth\":0.{:02}}}", self.below(2048), self.below(4096), self.pick(&WORDS), self.below(100)),
            )),
            _ => {}
        }
    }
}

impl Iterator for Clickstream {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.millis += self.below(20);
        let mut kv = Vec::with_capacity(20);
        self.identity(&mut kv);
        self.page(&mut kv);
        self.measures(&mut kv);
        let noise = self.below(100);
        let places = kv.len() as u64;
        let place = |n: u64| usize::try_from(n).unwrap_or(0);
        match noise {
            0 => kv.insert(
                place(self.below(places)),
                ("_sdk", format!("{{\"name\":\"js\",\"version\":\"1.{}.0\"}}", self.below(16))),
            ),
            1 | 2 => (0..kv.len()).for_each(|i| kv.swap(i, place(self.below(places)))),
            _ => {}
        }
        let (colon, comma) = if (3..5).contains(&noise) { (": ", ", ") } else { (":", ",") };
        let members: Vec<_> = kv.iter().map(|(k, v)| format!("\"{k}\"{colon}{v}")).collect();
        Some(format!("{{{}}}", members.join(comma)))
    }
}
