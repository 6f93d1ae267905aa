use serde_json::{Value, json};

use super::indented;

fn graph(nodes: &[(&str, &str)], edges: &[(usize, usize)]) -> Value {
    let node = |(id, (operator, description)): (usize, &(&str, &str))| json!({ "node_id": id, "operator": operator, "description": description, "parallelism": 1 });
    json!({
        "nodes": nodes.iter().enumerate().map(node).collect::<Value>(),
        "edges": edges.iter().map(|(from, to)| json!({ "src_id": from, "dest_id": to })).collect::<Value>(),
    })
}

#[test]
fn what_a_node_feeds_stands_below_it() {
    let nodes = [
        ("source", "stream events"),
        ("filter", "n > 1\n AND true"),
        ("sink", "sink a"),
        ("project", "n"),
        ("sink", "sink b"),
    ];
    let text = indented(&graph(&nodes, &[(0, 1), (1, 2), (0, 3), (3, 4)]));
    let expected = "source: stream events\n  filter: n > 1  AND true\n    sink: sink a\n  project: n\n    sink: sink b\n";
    assert_eq!(text, expected);
}

#[test]
fn an_answer_that_is_no_graph_does_no_harm() {
    assert_eq!(indented(&Value::Null), "");
    assert_eq!(indented(&graph(&[("a", ""), ("b", "")], &[(0, 1), (1, 0)])), "");
    let endless = indented(&graph(&[("a", ""), ("b", "\u{1b}")], &[(0, 1), (1, 1)]));
    assert_eq!(endless.lines().count(), 101);
    assert!(!endless.contains('\u{1b}'));
}
