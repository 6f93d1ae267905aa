use super::*;

#[test]
fn both_implementations_mark_the_same_bytes() {
    for value in 0..=u8::MAX {
        for at in 0..CHUNK_BYTES {
            let mut chunk = [b'x'; CHUNK_BYTES];
            chunk[at] = value;
            chunk[(at + 5) % CHUNK_BYTES] = 0x80;
            assert_eq!(string_special(&chunk), portable::string_special(&chunk), "byte {value} at {at}");
            assert_eq!(
                quote_or_backslash(&chunk),
                portable::quote_or_backslash(&chunk),
                "byte {value} at {at}"
            );
        }
        for at in 0..BLOCK_BYTES {
            let mut block = [b'x'; BLOCK_BYTES];
            block[at] = value;
            block[(at + 21) % BLOCK_BYTES] = value ^ 0x20;
            assert_eq!(classes(&block), portable::classes(&block), "byte {value} at {at}");
            assert_eq!(string_special_block(&block), portable::string_special_block(&block));
            assert_eq!(quote_or_backslash_block(&block), portable::quote_or_backslash_block(&block));
        }
    }
}

#[test]
fn a_search_finds_the_first_byte_wherever_it_stands_and_the_end_if_there_is_none() {
    for len in (0..20).chain(60..100).chain([160]) {
        let plain = vec![b'a'; len];
        assert_eq!(find_string_special(&plain, 0), len);
        assert_eq!(find_quote_or_backslash(&plain, 0), len);
        for at in 0..len {
            let mut text = plain.clone();
            text[at] = b'"';
            for from in 0..=at {
                assert_eq!(find_string_special(&text, from), at);
                assert_eq!(find_quote_or_backslash(&text, from), at);
            }
            text[at] = b'\n';
            assert_eq!(find_string_special(&text, 0), at);
            assert_eq!(find_quote_or_backslash(&text, 0), len);
        }
        assert_eq!(find_string_special(&plain, len + 3), len, "from behind the end");
    }
}
