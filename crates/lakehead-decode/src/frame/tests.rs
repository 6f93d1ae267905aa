use super::*;

#[test]
fn an_array_is_cut_into_its_records() {
    let body = br#" [ {"a":1} , {"a":[2,{}]} ] "#;
    let mut bounds = Vec::new();
    frame_array(body, &mut bounds).unwrap();
    assert_eq!(bounds, [(3, 10), (13, 25)]);
}
