//! The functions that SQL may call, and what keeps a call from taking more than it may.
//!
//! ```text
//!   names ─► Registry: an explicit list; DataFusion's implementation, or ours where it lacks one or differs
//!   plan  ─► prepare (values from JSON get their kind) ─► [types coerced] ─► guard (every call wrapped, patterns compiled)
//!         ─► [optimized] ─► guard again (what the optimizer made)
//!   run   ─► begin(now) ─► each call: time left? size known before? ─► the function ─► size of what it made
//! ```
//!
//! **Invariants:** a function sees its arguments, the moment of the run ([`begin`]) and randomness, nothing else: no files, no
//! settings, no versions. What DataFusion offers and what of it is listed stands in `functions/offered.txt`; a test fails when
//! that changes. A panic in a function is an error of the rows, and no output is made that passes the limits of [`budget`].

mod arguments;
mod budget;
mod growth;
mod guarded;
mod json;
mod lists;
mod math;
mod own;
mod regex;
mod rewrite;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use datafusion_common::Result;
use datafusion_expr::ScalarUDF;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};

pub(crate) use budget::{begin, begin_planning, check_constants, limit_of};
pub(crate) use json::{JsonPlanner, prepare};
pub(crate) use rewrite::{guard, largest_constant};

/// DataFusion's functions that SQL may call, with all their aliases.
#[rustfmt::skip]
const LISTED: &[&str] = &[
    // Math.
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "cot", "degrees",
    "exp", "floor", "gcd", "isnan", "iszero", "lcm", "ln", "log", "log10", "log2", "nanvl", "pi", "power", "radians",
    "random", "sin", "sinh", "sqrt", "tan", "tanh",
    // Conditional.
    "coalesce", "greatest", "least", "nullif", "nvl", "nvl2",
    // Text and bytes.
    "ascii", "bit_length", "btrim", "character_length", "chr", "concat", "concat_ws", "contains", "decode", "encode",
    "ends_with", "find_in_set", "initcap", "left", "levenshtein", "lower", "lpad", "ltrim", "octet_length", "overlay",
    "repeat", "replace", "reverse", "right", "rpad", "rtrim", "split_part", "starts_with", "strpos", "substr",
    "substr_index", "to_hex", "translate", "upper", "uuid",
    // Time.
    "date_bin", "date_part", "date_trunc", "make_date", "to_char", "to_date", "to_timestamp", "to_timestamp_micros",
    "to_timestamp_millis", "to_timestamp_nanos", "to_timestamp_seconds", "to_unixtime",
    // Lists and structs.
    "array_any_value", "array_append", "array_concat", "array_dims", "array_distinct", "array_element", "array_except",
    "array_has", "array_has_all", "array_has_any", "array_intersect", "array_length", "array_max", "array_min",
    "array_ndims", "array_pop_back", "array_pop_front", "array_position", "array_positions", "array_prepend",
    "array_remove", "array_remove_all", "array_remove_n", "array_repeat", "array_replace", "array_replace_all",
    "array_replace_n", "array_resize", "array_reverse", "array_slice", "array_sort", "array_to_string", "array_union",
    "flatten", "generate_series", "get_field", "make_array", "named_struct", "range", "string_to_array",
    "struct",
    // Hashes.
    "digest", "md5", "sha224", "sha256", "sha384", "sha512",
    // Types.
    "arrow_cast", "arrow_try_cast", "arrow_typeof",
];

/// Everything that DataFusion offers.
fn offered() -> impl Iterator<Item = Arc<ScalarUDF>> {
    datafusion_functions::all_default_functions()
        .into_iter()
        .chain(datafusion_functions_nested::all_default_nested_functions())
}

/// Ours: what DataFusion lacks, or does in another way than is documented.
fn ours() -> Vec<Arc<ScalarUDF>> {
    let mut all = json::functions();
    all.extend(json::path_functions());
    all.extend(regex::functions());
    all.extend(math::functions());
    all.extend(time::functions());
    all.extend(lists::functions());
    all
}

/// Takes a column that no function made (a CASE, say) from what the run may make; a column that is only handed on costs nothing.
pub(crate) fn charge(expression: &dyn PhysicalExpr, column: &ArrayRef) -> Result<()> {
    if expression.is::<Column>() || expression.is::<ScalarFunctionExpr>() {
        return Ok(());
    }
    budget::charge("an expression", growth::array_bytes(column.as_ref()))
}

/// Fails if rows are larger than a batch's may be. A column that stands there twice is written twice.
pub(crate) fn check_output(columns: &[ArrayRef]) -> Result<()> {
    let bytes =
        columns.iter().map(|column| growth::array_bytes(column.as_ref())).fold(0, u64::saturating_add);
    budget::check_size("SELECT", bytes)
}

/// The functions by name and alias.
pub(crate) struct Registry {
    by_name: HashMap<String, Arc<ScalarUDF>>,
}

impl Registry {
    pub(crate) fn get() -> &'static Registry {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
        &REGISTRY
    }

    fn new() -> Registry {
        let mut by_name = HashMap::new();
        let listed = offered().filter(|f| LISTED.contains(&f.name()));
        for function in listed.chain(ours()) {
            for alias in function.aliases() {
                by_name.insert(alias.clone(), Arc::clone(&function));
            }
            by_name.insert(function.name().to_owned(), function);
        }
        Registry { by_name }
    }

    /// The function of that name or alias, in lower case.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.by_name.get(name)
    }

    /// All names and aliases, in no order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// The functions' names without their aliases.
    #[cfg(test)]
    fn functions(&self) -> Vec<String> {
        let names = self.by_name.values().map(|f| f.name().to_owned());
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// What runs for a function that a plan holds: that function if it is ours or listed, ours if it stands in for it. `None` if
    /// it is not listed.
    fn implementation(&self, function: &Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
        let bare = guarded::unwrap(function);
        if !Arc::ptr_eq(bare, function) || own::is_ours(bare) {
            return Some(Arc::clone(function));
        }
        self.find(function.name()).cloned()
    }
}
