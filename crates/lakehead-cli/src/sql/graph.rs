//! The graph of checked SQL as text: what a node feeds stands below it, further in.

use serde_json::Value;

use crate::error::printable;

/// Deeper than any graph of SQL; ends one that would never end.
const DEPTH_MAX: usize = 100;

pub(super) fn indented(graph: &Value) -> String {
    let mut text = String::new();
    let all = |key: &str| graph[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let (nodes, edges) = (all("nodes"), all("edges"));
    for node in nodes {
        if !edges.iter().any(|edge| edge["dest_id"] == node["node_id"]) {
            write(node, 0, nodes, edges, &mut text);
        }
    }
    printable(&text)
}

fn write(node: &Value, depth: usize, nodes: &[Value], edges: &[Value], text: &mut String) {
    let word = |key: &str| node[key].as_str().unwrap_or_default().replace('\n', " ");
    text.push_str(&format!("{}{}: {}\n", "  ".repeat(depth), word("operator"), word("description")));
    if depth >= DEPTH_MAX {
        return;
    }
    for edge in edges.iter().filter(|edge| edge["src_id"] == node["node_id"]) {
        for next in nodes.iter().filter(|next| next["node_id"] == edge["dest_id"]) {
            write(next, depth + 1, nodes, edges, text);
        }
    }
}

#[cfg(test)]
mod tests;
