use super::*;

fn compact(text: &str) -> String {
    let mut out = Bytes::default();
    let end = copy(text.as_bytes(), 0, &mut out).ok().unwrap();
    assert_eq!(end, skip(text.as_bytes(), 0).ok().unwrap());
    let (data, _) = out.take();
    format!("{}|{}", String::from_utf8(data).unwrap(), &text[end..])
}

#[test]
fn a_value_is_copied_up_to_its_end_without_white_space_between_tokens() {
    assert_eq!(compact(r#"{"a": [1, {"b" :"x  y"}] } ,"c""#), r#"{"a":[1,{"b":"x  y"}]}| ,"c""#);
    assert_eq!(compact("[ ]]"), "[]|]");
    assert_eq!(compact("-1.5e3 "), "-1.5e3| ");
    assert_eq!(compact("\"a b\\\" \" "), "\"a b\\\" \"| ");
}

#[test]
fn quotes_and_brackets_in_strings_and_escapes_at_any_place_do_not_confuse() {
    for shift in 0..140 {
        let plain = "x".repeat(shift);
        for string in [r#"\\"#, r#"\""#, r#"\\\""#, "{[", "]}", r#"\\\\"#, " ", r#"\u005c"#, "é"] {
            let value = format!(r#"{{"{plain}":"{string}","k":[[{{}}],"{string}{plain}"]}}"#);
            assert_eq!(compact(&format!("{value},1]")), format!("{value}|,1]"));
            let spaced = format!(r#"{{ "{plain}":"{string}","k":[[{{}}],"{string}{plain}" ]}}"#);
            assert_eq!(compact(&format!("{spaced},1]")), format!("{value}|,1]"));
        }
    }
}

#[test]
fn what_does_not_end_is_refused() {
    for text in ["", "{", "[", "\"", "{\"a", "[1,[2]", "\"\\", "{\"\\\"}", ",", "}"] {
        assert!(skip(text.as_bytes(), 0).is_err(), "{text}");
    }
}
