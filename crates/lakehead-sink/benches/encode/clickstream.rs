//! Generated clickstream: 18 columns, some nearly unique, some from small sets, nulls, escapes, non-ASCII text.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema};
use lakehead_model::Random;
use lakehead_model::random::SeededRandom;

const CATEGORIES: [&str; 10] =
    ["shoes", "books", "garden", "toys", "audio", "phones", "laptops", "kitchen", "sport", "outlet"];
const WORDS: [&str; 16] = [
    "quick", "brown", "light", "solid", "river", "stone", "cloud", "metal", "paper", "green", "amber",
    "smart", "ultra", "prime", "basic", "family",
];
const TAGS: [&str; 8] =
    ["new", "returning", "promo", "mobile", "ab-test-17", "beta", "newsletter", "organic"];
const SYSTEMS: [&str; 6] = ["Windows", "macOS", "iOS", "Android", "Linux", "ChromeOS"];
const BROWSERS: [&str; 6] = ["Chrome", "Safari", "Firefox", "Edge", "Opera", "Samsung Internet"];
const SCREENS: [(i32, i32); 5] = [(1920, 1080), (1440, 900), (2560, 1440), (390, 844), (412, 915)];
const COUNTRIES: [&str; 10] = ["US", "DE", "FR", "GB", "IN", "BR", "JP", "CN", "CA", "AU"];
const EVENTS: [&str; 6] = ["page_view", "page_view", "page_view", "click", "scroll", "purchase"];
const REFERRERS: [&str; 4] = [
    "https://www.google.com/",
    "https://duckduckgo.com/",
    "https://news.example.com/item?id=",
    "https://t.example/",
];

struct Draw(SeededRandom);

impl Draw {
    fn below(&self, n: u64) -> u64 {
        self.0.u64() % n
    }

    fn of<'a>(&self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Default)]
struct Columns {
    event_id: StringBuilder,
    ts: TimestampMicrosecondBuilder,
    event_type: StringBuilder,
    user_id: Int64Builder,
    session_id: StringBuilder,
    url: StringBuilder,
    referrer: StringBuilder,
    title: StringBuilder,
    user_agent: StringBuilder,
    ip: StringBuilder,
    country: StringBuilder,
    is_bot: BooleanBuilder,
    duration_ms: Int32Builder,
    price: Float64Builder,
    score: Float64Builder,
    tags: ListBuilder<StringBuilder>,
    os: StringBuilder,
    browser: StringBuilder,
    mobile: BooleanBuilder,
    width: Int32Builder,
    height: Int32Builder,
    props: StringBuilder,
}

/// `rows` events in batches of `batch_rows`.
pub(crate) fn batches(rows: usize, batch_rows: usize) -> Vec<RecordBatch> {
    let draw = Draw(SeededRandom::new(1));
    let agents: Vec<String> = (0..400)
        .map(|i| {
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{i} \
                 Safari/537.36",
                90 + draw.below(50),
                draw.below(7000)
            )
        })
        .collect();
    let sessions: Vec<String> = (0..5000).map(|_| format!("{:016x}", draw.0.u64())).collect();
    let users: Vec<i64> = (0..20_000).map(|_| i64::try_from(draw.0.u64() >> 24).unwrap()).collect();
    let mut micros = 1_767_225_600_000_000;
    let mut made = Vec::new();
    while made.len() * batch_rows < rows {
        let mut columns = Columns::default();
        for _ in 0..batch_rows {
            micros += i64::try_from(draw.below(20) * 1000).unwrap();
            columns.push(&draw, micros, &agents, &sessions, &users);
        }
        made.push(columns.finish());
    }
    made
}

/// The lines of a JSON file as batches of one json column `value`.
pub(crate) fn raw(text: &[u8], batch_rows: usize) -> Vec<RecordBatch> {
    let lines: Vec<&str> = std::str::from_utf8(text).unwrap().lines().collect();
    let schema = Arc::new(Schema::new(vec![json("value")]));
    let batch = |lines: &[&str]| {
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(lines));
        RecordBatch::try_new(schema.clone(), vec![values]).unwrap()
    };
    lines.chunks(batch_rows).map(batch).collect()
}

fn json(name: &str) -> Field {
    let mark = HashMap::from([("lakehead.type".to_owned(), "json".to_owned())]);
    Field::new(name, DataType::Utf8, true).with_metadata(mark)
}

impl Columns {
    fn push(&mut self, draw: &Draw, micros: i64, agents: &[String], sessions: &[String], users: &[i64]) {
        let pick = |n: usize| usize::try_from(draw.below(n as u64)).unwrap();
        let (category, word, item) = (draw.of(&CATEGORIES), draw.of(&WORDS), draw.below(100_000));
        let event = draw.of(&EVENTS);
        let id = format!("{:032x}", draw.0.u128());
        self.event_id.append_value(format!(
            "{}-{}-4{}-a{}-{}",
            &id[..8],
            &id[8..12],
            &id[13..16],
            &id[17..20],
            &id[20..]
        ));
        self.ts.append_value(micros);
        self.event_type.append_value(event);
        self.user_id.append_value(users[pick(users.len())]);
        self.session_id.append_value(&sessions[pick(sessions.len())]);
        write!(
            self.url,
            "https://shop.example.com/{category}/{word}-{}-{item}?utm_source={}&pos={}",
            draw.of(&WORDS),
            draw.of(&TAGS),
            draw.below(50)
        )
        .unwrap();
        self.url.append_value("");
        if draw.chance(70) {
            self.referrer.append_value(format!("{}{}", draw.of(&REFERRERS), draw.below(1 << 24)));
        } else {
            self.referrer.append_null();
        }
        let extra = match draw.below(100) {
            0..3 => " 5\" screen\\",
            3..8 => " Größe 日本語 🌀",
            _ => "",
        };
        self.title.append_value(format!("{word} {} {category} - Shop{extra}", draw.of(&WORDS)));
        self.user_agent.append_value(&agents[pick(agents.len())]);
        let ip = draw.0.u64().to_le_bytes();
        self.ip.append_value(format!("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3]));
        self.country.append_value(draw.of(&COUNTRIES));
        self.is_bot.append_value(draw.chance(3));
        self.duration_ms.append_option(draw.chance(90).then(|| i32::try_from(draw.below(120_000)).unwrap()));
        self.price.append_option(draw.chance(35).then(|| draw.below(90_000) as f64 / 100.0));
        self.score.append_value(draw.below(1_000_000) as f64 / 1e6);
        for _ in 0..draw.below(4) {
            self.tags.values().append_value(draw.of(&TAGS));
        }
        self.tags.append(true);
        let (width, height) = SCREENS[pick(SCREENS.len())];
        self.os.append_value(draw.of(&SYSTEMS));
        self.browser.append_value(draw.of(&BROWSERS));
        self.mobile.append_value(width < 800);
        self.width.append_value(width);
        self.height.append_value(height);
        match draw.below(100) {
            0..45 => self.props.append_value(format!(
                "{{\"experiment\":\"exp-{}\",\"variant\":\"{}\",\"pos\":{}}}",
                draw.below(32),
                draw.of(&["A", "B", "C"]),
                draw.below(64)
            )),
            45..90 => self.props.append_value(format!(
                "{{\"sku\":\"SKU-{item:06}\",\"qty\":{},\"attrs\":{{\"color\":\"{word}\",\"sizes\":[{},{}]}},\"gift\":true}}",
                1 + draw.below(4),
                36 + draw.below(8),
                38 + draw.below(8)
            )),
            _ => self.props.append_null(),
        }
    }

    fn finish(mut self) -> RecordBatch {
        let screen: Vec<(Arc<Field>, ArrayRef)> = vec![
            (Arc::new(Field::new("w", DataType::Int32, true)), Arc::new(self.width.finish())),
            (Arc::new(Field::new("h", DataType::Int32, true)), Arc::new(self.height.finish())),
        ];
        let screen = StructArray::from(screen);
        let device: Vec<(Arc<Field>, ArrayRef)> = vec![
            (Arc::new(Field::new("os", DataType::Utf8, true)), Arc::new(self.os.finish())),
            (Arc::new(Field::new("browser", DataType::Utf8, true)), Arc::new(self.browser.finish())),
            (Arc::new(Field::new("mobile", DataType::Boolean, true)), Arc::new(self.mobile.finish())),
            (Arc::new(Field::new("screen", screen.data_type().clone(), true)), Arc::new(screen)),
        ];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("event_id", Arc::new(self.event_id.finish())),
            ("ts", Arc::new(self.ts.finish().with_timezone("UTC"))),
            ("event_type", Arc::new(self.event_type.finish())),
            ("user_id", Arc::new(self.user_id.finish())),
            ("session_id", Arc::new(self.session_id.finish())),
            ("url", Arc::new(self.url.finish())),
            ("referrer", Arc::new(self.referrer.finish())),
            ("title", Arc::new(self.title.finish())),
            ("user_agent", Arc::new(self.user_agent.finish())),
            ("ip", Arc::new(self.ip.finish())),
            ("country", Arc::new(self.country.finish())),
            ("is_bot", Arc::new(self.is_bot.finish())),
            ("duration_ms", Arc::new(self.duration_ms.finish())),
            ("price", Arc::new(self.price.finish())),
            ("score", Arc::new(self.score.finish())),
            ("tags", Arc::new(self.tags.finish())),
            ("device", Arc::new(StructArray::from(device))),
            ("props", Arc::new(self.props.finish())),
        ];
        let field = |name: &str, array: &ArrayRef| match name {
            "props" => json(name),
            _ => Field::new(name, array.data_type().clone(), true),
        };
        let fields: Vec<_> = columns.iter().map(|(name, array)| field(name, array)).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    }
}
