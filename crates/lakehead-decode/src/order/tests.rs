use super::*;

/// Reads the keys of an object written compactly with numbers for values; gives the fields and the number of searches.
fn read(order: &mut Order, keys: &[&str]) -> (Vec<Option<usize>>, u32) {
    let members: Vec<_> = keys.iter().map(|k| format!("\"{k}\":1")).collect();
    let text = format!("{{{}}} and something behind", members.join(","));
    let (mut pos, mut guess) = (1, 0);
    let mut fields = Vec::new();
    for _ in keys {
        let (field, behind) = order.read(text.as_bytes(), pos, &mut guess).ok().unwrap();
        fields.push(field);
        pos = behind + 2;
    }
    let searches = order.searches;
    order.end_object();
    (fields, searches)
}

#[test]
fn keys_in_the_expected_order_need_no_search_even_if_some_are_missing() {
    let mut order = Order::new(["a", "b", "c", "d", "e", "f", "g"].into_iter());
    assert_eq!(read(&mut order, &["a", "b", "g"]), (vec![Some(0), Some(1), Some(6)], 0));
    assert_eq!(read(&mut order, &["e", "f"]), (vec![Some(4), Some(5)], 0));
    assert_eq!(read(&mut order, &["g"]), (vec![Some(6)], 1));
    assert_eq!(read(&mut order, &["b", "a"]), (vec![Some(1), Some(0)], 1));
}

#[test]
fn another_order_is_learned_with_its_strangers() {
    let mut order = Order::new(["a", "b", "c", "d"].into_iter());
    let other = ["x", "d", "b", "y", "a"];
    let fields = vec![None, Some(3), Some(1), None, Some(0)];
    let mut rounds = 0;
    loop {
        let (found, searches) = read(&mut order, &other);
        assert_eq!(found, fields);
        if searches == 0 {
            break;
        }
        rounds += 1;
        assert!(rounds < 100, "the order is never learned");
    }
    let names: Vec<_> = order.expected.iter().map(|e| std::str::from_utf8(&e.name).unwrap()).collect();
    assert_eq!(names, ["x", "d", "b", "c", "y", "a"], "c stays behind b");
    assert_eq!(read(&mut order, &["c", "z", "a"]), (vec![Some(2), None, Some(0)], 1));
}

#[test]
fn one_object_in_another_order_now_and_then_changes_nothing() {
    let mut order = Order::new(["a", "b", "c", "d"].into_iter());
    for _ in 0..100 {
        read(&mut order, &["d", "c", "b", "a"]);
        for _ in 0..20 {
            assert_eq!(read(&mut order, &["a", "b", "c", "d"]).1, 0);
        }
    }
}

#[test]
fn keys_that_never_repeat_do_not_fill_the_memory() {
    let mut order = Order::new(["a"].into_iter());
    for i in 0..3000 {
        let names: Vec<String> = (0..40).map(|k| format!("{i}-{k}")).collect();
        let mut keys: Vec<&str> = names.iter().map(String::as_str).collect();
        keys.push("a");
        assert_eq!(read(&mut order, &keys).0.last(), Some(&Some(0)));
        assert!(order.expected.len() <= 1 + STRANGERS_MAX && order.met.len() <= 2 + 2 * STRANGERS_MAX);
    }
    let many: Vec<String> = (0..2000).map(|k| format!("k{k}")).collect();
    let keys: Vec<&str> = many.iter().map(String::as_str).collect();
    for _ in 0..200 {
        assert_eq!(read(&mut order, &keys).0, vec![None; 2000]);
        assert!(order.expected.len() <= 1 + STRANGERS_MAX);
    }
}
