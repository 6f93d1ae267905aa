use super::*;

#[test]
fn a_key_is_found_only_whole_and_at_its_place() {
    for name in [
        "a",
        "id",
        "thirteen chars",
        "a name longer than one chunk of bytes",
        "q\"uo\\te",
        "näme",
        "fourteen bytes",
    ] {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        let key = Key::new(name.as_bytes());
        let text = format!("{{\"{escaped}\":12345678901234567890}}");
        let end = escaped.len() + 4;
        assert_eq!(key.matches(text.as_bytes(), 1), Some(end), "{name}");
        assert_eq!(key.matches(text.as_bytes(), 0), None);
        for at in 1..end {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert_eq!(key.matches(&other, 1), None, "{name} with another byte {at}");
        }
        assert_eq!(key.matches(&text.as_bytes()[..end - 1], 1), None, "cut off");
    }
}
