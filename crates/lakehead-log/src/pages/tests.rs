use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn content_stays_as_pushed_at_a_page_boundary_however_often_it_grows(pieces in prop::collection::vec((any::<u8>(), 0_usize..50_000), 1..30)) {
        let (mut pages, mut expected) = (Pages::default(), Vec::new());
        for (byte, count) in pieces {
            if byte == 0 { pages.push_zeros(count) } else { pages.push(&vec![byte; count]) }
            expected.resize(expected.len() + count, byte);
            prop_assert_eq!(pages.get(0..pages.len()), &expected[..]);
            prop_assert!(pages.len() == 0 || (pages.get(0..1).as_ptr() as usize).is_multiple_of(PAGE_BYTES));
        }
        let end = expected.len();
        pages.push_zeros(100);
        pages.keep_last_page(end);
        prop_assert_eq!(pages.get(0..pages.len()), &expected[end - end % PAGE_BYTES..]);
    }
}
