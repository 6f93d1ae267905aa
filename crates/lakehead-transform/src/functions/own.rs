//! Functions of our own: a name, a signature, and a Rust function over a batch's arguments.

use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// One function; its name is what makes it that function.
#[derive(Debug)]
pub(super) struct Own {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    returns: fn(&[DataType]) -> Result<DataType>,
    run: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
}

impl Own {
    pub(super) fn new(
        name: &'static str,
        signature: Signature,
        returns: fn(&[DataType]) -> Result<DataType>,
        run: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
    ) -> Own {
        Own { name, aliases: Vec::new(), signature, returns, run }
    }

    /// A pure function with arguments of exactly these types.
    pub(super) fn exact(
        name: &'static str,
        arguments: &[DataType],
        returns: fn(&[DataType]) -> Result<DataType>,
        run: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
    ) -> Own {
        let signature = Signature::new(TypeSignature::Exact(arguments.to_vec()), Volatility::Immutable);
        Own::new(name, signature, returns, run)
    }

    pub(super) fn aliases(mut self, aliases: &[&str]) -> Own {
        self.aliases = aliases.iter().map(|&a| a.to_owned()).collect();
        self
    }

    pub(super) fn udf(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(self)
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Own {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        (self.returns)(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.run)(&args)
    }
}

/// Runs over the arguments as arrays of the same length: one row if all of them are constants, and then the answer is one too.
pub(super) fn by_rows(
    args: &ScalarFunctionArgs,
    run: impl Fn(&ScalarFunctionArgs, &[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = !args.args.is_empty() && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let arrays = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let array = run(args, &arrays)?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

/// Whether a function is one of ours.
pub(super) fn is_ours(function: &ScalarUDF) -> bool {
    let inner = function.inner();
    inner.is::<Own>()
        || inner.is::<super::math::Finite>()
        || inner.is::<super::text::Concat>()
        || inner.is::<super::json::JsonFunction>()
        || super::json::is_compiled(function)
        || super::regex::is_compiled(function)
        || crate::json_text::is_it(function)
        || crate::struct_cast::is_it(function)
}
