//! Clickstream as web shops really send it: 18 fields of about 700 bytes, deterministic by seed.
//!
//! Strings, integers, floats, a bool, an RFC 3339 timestamp, a struct of two levels, a list of strings and a free-form json
//! field. With the noise of real producers: about 20 % missing optional keys, explicit nulls, 2 % shuffled key order, 2 % with
//! spaces after `:` and `,`, 1 % with an unknown key, 3 % strings with escapes, 5 % non-ASCII.

use std::fmt::Write as _;

use crate::random::Numbers;

/// The stream's schema, as the management API takes it.
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

const CATEGORIES: &[&str] =
    &["shoes", "books", "garden", "toys", "audio", "phones", "laptops", "kitchen", "sport", "outlet"];
const WORDS: &[&str] = &[
    "quick", "brown", "light", "solid", "river", "stone", "cloud", "metal", "paper", "green", "amber",
    "smart", "ultra", "prime", "basic", "family", "travel", "winter", "summer", "studio", "classic",
    "modern", "compact", "wireless", "leather", "cotton", "carbon", "silver",
];
const NON_ASCII: &[&str] = &[
    "café crème",
    "Größe wählen",
    "日本語のページ",
    "naïve façade",
    "Привет мир",
    "emoji 🌀 ok",
    "señor niño",
];
const ESCAPED: &[&str] = &[
    r#"5\" screen"#,
    r"tab\there",
    r"line\nbreak",
    r"back\\slash",
    r"caf\u00e9",
    r"\ud83c\udf00 streams",
    r"a\/b",
];
const SYSTEMS: &[&str] = &["Windows", "macOS", "iOS", "Android", "Linux", "ChromeOS"];
const BROWSERS: &[&str] = &["Chrome", "Safari", "Firefox", "Edge", "Opera", "Samsung Internet"];
const SCREENS: &[(u32, u32)] =
    &[(1920, 1080), (1440, 900), (2560, 1440), (390, 844), (412, 915), (1366, 768), (768, 1024)];
const COUNTRIES: &[&str] = &[
    "US", "DE", "FR", "GB", "IN", "BR", "JP", "CN", "CA", "AU", "ES", "IT", "NL", "SE", "PL", "MX", "ID",
    "TR", "ZA", "NG",
];
const TAGS: &[&str] = &[
    "new",
    "returning",
    "promo",
    "mobile",
    "ab-test-17",
    "ab-test-42",
    "beta",
    "vip",
    "newsletter",
    "cart",
    "search",
    "organic",
];

/// The generator. One event per call of [`Events::append`].
#[derive(Debug)]
pub(crate) struct Events {
    numbers: Numbers,
    user_agents: Vec<String>,
    users: Vec<u64>,
    sessions: Vec<u64>,
    millis: u64,
    /// `"key":value` of the event being made, in the order of its keys.
    pairs: Vec<String>,
    used: usize,
}

impl Events {
    pub(crate) fn new(seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let user_agents = (0..400).map(|_| user_agent(&mut numbers)).collect();
        let users = (0..20_000).map(|_| numbers.bits(40)).collect();
        let sessions = (0..5000).map(|_| numbers.bits(64)).collect();
        // 2026-01-01T00:00:00Z and up to 17 minutes.
        let millis = 1_767_225_600_000 + numbers.bits(20);
        Events { numbers, user_agents, users, sessions, millis, pairs: Vec::new(), used: 0 }
    }

    /// Appends one event, a JSON object, to `out`.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>) {
        self.used = 0;
        let item = self.numbers.below(100_000);
        let words = (*self.numbers.choose(WORDS), *self.numbers.choose(WORDS));
        let category = *self.numbers.choose(CATEGORIES);
        let event_type = event_type(self.numbers.below(100));
        self.identity(event_type);
        self.page(category, words, item);
        self.visitor();
        self.measures(event_type);
        self.device();
        self.props(words.1, item);
        self.write(out);
    }

    /// A slot for the next `"key":value`; slots are reused, so that an event costs no allocation.
    fn pair(&mut self) -> &mut String {
        if self.used == self.pairs.len() {
            self.pairs.push(String::new());
        }
        self.used += 1;
        let slot = &mut self.pairs[self.used - 1];
        slot.clear();
        slot
    }

    fn add(&mut self, pair: std::fmt::Arguments<'_>) {
        let slot = self.pair();
        slot.write_fmt(pair).expect("a string takes any text");
    }

    fn identity(&mut self, event_type: &str) {
        let n = &mut self.numbers;
        let (high, low) = (n.bits(64), n.bits(64));
        self.millis += (n.unit() * n.unit() * 40.0) as u64;
        let (zone, fraction, extra) =
            (if n.chance(0.97) { "Z" } else { "+02:00" }, n.chance(0.95), n.bits(9));
        let user = *n.choose(&self.users);
        let index = n.below(self.sessions.len() as u64) as usize;
        if n.chance(0.02) {
            self.sessions[index] = n.bits(64);
        }
        let session = self.sessions[index];
        self.add(format_args!(
            "\"event_id\":\"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\"",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        ));
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let slot = self.pair();
        write!(slot, "\"ts\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            .expect("text");
        if fraction {
            write!(slot, ".{millis:03}{zone}\"").expect("text");
        } else {
            write!(slot, ".{:06}{zone}\"", millis * 1000 + extra).expect("text");
        }
        self.add(format_args!("\"event_type\":\"{event_type}\""));
        self.add(format_args!("\"user_id\":{user}"));
        self.add(format_args!("\"session_id\":\"{session:016x}\""));
    }

    fn page(&mut self, category: &str, words: (&str, &str), item: u64) {
        let n = &mut self.numbers;
        let (source, position) = (*n.choose(TAGS), n.below(50));
        let (referrer, kind, number) = (n.unit(), n.below(6), n.bits(24));
        let (title_noise, escaped, non_ascii) = (n.unit(), *n.choose(ESCAPED), *n.choose(NON_ASCII));
        self.add(format_args!(
            "\"url\":\"https://shop.example.com/{category}/{}-{}-{item}?utm_source={source}&pos={position}\"",
            words.0, words.1
        ));
        if referrer < 0.7 {
            match kind {
                0 => self.add(format_args!("\"referrer\":\"https://www.google.com/\"")),
                1 => self.add(format_args!("\"referrer\":\"https://duckduckgo.com/\"")),
                2 => self.add(format_args!("\"referrer\":\"https://news.ycombinator.com/item?id={number}\"")),
                3 => self.add(format_args!("\"referrer\":\"https://t.co/{number:x}\"")),
                4 => self.add(format_args!("\"referrer\":\"https://www.example.org/blog/post-{number}\"")),
                _ => self.add(format_args!("\"referrer\":\"android-app://com.google.android.gm/\"")),
            }
        } else if referrer < 0.8 {
            self.add(format_args!("\"referrer\":null"));
        }
        let noise = match title_noise {
            x if x < 0.03 => escaped,
            x if x < 0.08 => non_ascii,
            _ => "",
        };
        let gap = if noise.is_empty() { "" } else { " " };
        let (first, rest) = words.0.split_at(1);
        let first = first.to_ascii_uppercase();
        self.add(format_args!("\"title\":\"{first}{rest} {} {category} - Shop{gap}{noise}\"", words.1));
    }

    fn visitor(&mut self) {
        let n = &mut self.numbers;
        let agent = n.below(self.user_agents.len() as u64) as usize;
        let ip = [1 + n.bits(7), n.bits(8), n.bits(8), n.bits(8)];
        let (country, is_bot) = (*n.choose(COUNTRIES), n.chance(0.03));
        // Taken out and put back: the slot is borrowed from `self` as well.
        let agents = std::mem::take(&mut self.user_agents);
        self.add(format_args!("\"user_agent\":\"{}\"", agents[agent]));
        self.user_agents = agents;
        self.add(format_args!("\"ip\":\"{}.{}.{}.{}\"", ip[0], ip[1], ip[2], ip[3]));
        self.add(format_args!("\"country\":\"{country}\""));
        self.add(format_args!("\"is_bot\":{is_bot}"));
    }

    fn measures(&mut self, event_type: &str) {
        let n = &mut self.numbers;
        let duration = n.chance(0.9).then(|| (n.unit() * n.unit() * 120_000.0) as u64);
        let priced = matches!(event_type, "add_to_cart" | "purchase") || n.chance(0.3);
        let (price, cents, null_price) = ((n.unit() * n.unit() * 900.0) as u64, n.below(100), n.chance(0.3));
        let (score, plain_score) = (n.unit(), n.chance(0.98));
        let tags: [&str; 3] = std::array::from_fn(|_| *n.choose(TAGS));
        let tag_count = n.below(4) as usize;
        if let Some(duration) = duration {
            self.add(format_args!("\"duration_ms\":{duration}"));
        }
        if priced {
            self.add(format_args!("\"price\":{price}.{cents:02}"));
        } else if null_price {
            self.add(format_args!("\"price\":null"));
        }
        if plain_score {
            self.add(format_args!("\"score\":{score:.6}"));
        } else {
            self.add(format_args!("\"score\":{score:.3e}"));
        }
        let slot = self.pair();
        slot.push_str("\"tags\":[");
        for (i, tag) in tags[..tag_count].iter().enumerate() {
            write!(slot, "{}\"{tag}\"", if i == 0 { "" } else { "," }).expect("text");
        }
        slot.push(']');
    }

    fn device(&mut self) {
        let n = &mut self.numbers;
        let present = n.chance(0.95);
        let (system, browser, (w, h)) = (*n.choose(SYSTEMS), *n.choose(BROWSERS), *n.choose(SCREENS));
        if present {
            self.add(format_args!(
                "\"device\":{{\"os\":\"{system}\",\"browser\":\"{browser}\",\"mobile\":{},\"screen\":{{\"w\":{w},\"h\":{h}}}}}",
                w < 800
            ));
        }
    }

    fn props(&mut self, word: &str, item: u64) {
        let n = &mut self.numbers;
        let (kind, a, b, c, share) = (n.unit(), n.bits(11), n.bits(12), n.bits(5), n.unit());
        let (color, variant) = (*n.choose(WORDS), *n.choose(&["A", "B", "C"]));
        match kind {
            x if x < 0.45 => self.add(format_args!(
                "\"props\":{{\"experiment\":\"exp-{c}\",\"variant\":\"{variant}\",\"pos\":{}}}",
                a & 63
            )),
            x if x < 0.75 => self.add(format_args!(
                "\"props\":{{\"sku\":\"SKU-{item:06}\",\"qty\":{},\"attrs\":{{\"color\":\"{color}\",\"sizes\":[{},{}]}},\"gift\":{}}}",
                1 + (a & 3), 36 + (b & 7), 38 + (b >> 3 & 7), c & 1 == 1
            )),
            x if x < 0.9 => self
                .add(format_args!("\"props\":{{\"x\":{a},\"y\":{b},\"el\":\"#btn-{word}\",\"depth\":{share:.2}}}")),
            _ => {}
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        let (noise, place, major, minor) =
            (self.numbers.unit(), self.numbers.bits(32), self.numbers.bits(4), self.numbers.bits(3));
        let mut order: Vec<usize> = (0..self.used).collect();
        if noise < 0.01 {
            self.add(format_args!("\"_sdk\":{{\"name\":\"js\",\"version\":\"1.{major}.{minor}\"}}"));
            order.insert(place as usize % order.len(), self.used - 1);
        } else if noise < 0.03 {
            for i in (1..order.len()).rev() {
                order.swap(i, self.numbers.below(i as u64 + 1) as usize);
            }
        }
        let spaced = (0.03..0.05).contains(&noise);
        out.push(b'{');
        for (i, &pair) in order.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(if spaced { b", " } else { b"," });
            }
            let pair = self.pairs[pair].as_bytes();
            match pair.iter().position(|&b| b == b':').filter(|_| spaced) {
                Some(colon) => {
                    out.extend_from_slice(&pair[..=colon]);
                    out.push(b' ');
                    out.extend_from_slice(&pair[colon + 1..]);
                }
                None => out.extend_from_slice(pair),
            }
        }
        out.push(b'}');
    }
}

/// Shares in percent: page views 60, clicks 22, scrolls 8, carts 5, purchases 3, errors 1, signups 1.
fn event_type(percentile: u64) -> &'static str {
    match percentile {
        0..60 => "page_view",
        60..82 => "click",
        82..90 => "scroll",
        90..95 => "add_to_cart",
        95..98 => "purchase",
        98 => "error",
        _ => "signup",
    }
}

fn user_agent(n: &mut Numbers) -> String {
    let version = 90 + n.below(50);
    match n.below(4) {
        0 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{}.{} Safari/537.36",
            n.below(7000),
            n.below(200)
        ),
        1 => format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_{}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.{} Safari/605.1.15",
            n.below(9),
            13 + n.below(6),
            n.below(6)
        ),
        2 => format!("Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"),
        _ => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{} Mobile/15E148 Safari/604.1",
            14 + n.below(5),
            n.below(6),
            n.below(6)
        ),
    }
}

/// Year, month and day of a day since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
