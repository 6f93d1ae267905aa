//! The graph of checked SQL: each stream is read once, each statement has its steps, each sink is written.
//!
//! ```text
//!                     ┌─► filter ─► project ─► sink files
//!   source events ────┤
//!                     └─► project ───────────► sink more
//! ```

use serde_json::{Value, json};

use crate::control::StatementRef;

/// In Cloudflare's shape. Nodes are numbered in the order of the statements, upstream first.
pub(super) fn graph(statements: &[StatementRef]) -> Value {
    let mut graph = Graph::default();
    for StatementRef { stream, sink, steps, .. } in statements {
        let mut last = graph.shared("source", format!("stream {stream}"));
        let mut value_type = "records";
        for step in steps {
            let node = graph.node(step.kind, step.description.clone());
            graph.edge(last, node, value_type);
            (last, value_type) = (node, "rows");
        }
        let target = graph.shared("sink", format!("sink {sink}"));
        graph.edge(last, target, "rows");
    }
    json!({ "nodes": graph.nodes, "edges": graph.edges })
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

impl Graph {
    /// A new node; returns its id.
    fn node(&mut self, operator: &str, description: String) -> usize {
        let id = self.nodes.len();
        self.nodes.push(json!({
            "node_id": id, "operator": operator, "description": description, "parallelism": 1,
        }));
        id
    }

    /// The node that is so already, or a new one.
    fn shared(&mut self, operator: &str, description: String) -> usize {
        let same = |n: &Value| n["operator"] == operator && n["description"] == description.as_str();
        self.nodes.iter().position(same).unwrap_or_else(|| self.node(operator, description))
    }

    fn edge(&mut self, from: usize, to: usize, value_type: &str) {
        self.edges.push(json!({
            "src_id": from, "dest_id": to, "edge_type": "forward", "key_type": "none", "value_type": value_type,
        }));
    }
}
