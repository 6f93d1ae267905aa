//! Casts between structs: fields by name, or by place if no name is the same. DataFusion makes NULL of a field that it does
//! not find; here it is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::data_type::sql_name;
use crate::suggest::{hint, short};

/// The function that casts, if there are structs on both sides. It takes one argument.
///
/// # Errors
/// If a field of the one has no counterpart in the other, or types do not fit.
pub(crate) fn cast_struct(from: &DataType, to: &DataType) -> Result<Option<Arc<ScalarUDF>>> {
    if !has_structs(from, to) {
        return Ok(None);
    }
    check(from, to)?;
    let signature = Signature::any(1, Volatility::Immutable);
    Ok(Some(Arc::new(ScalarUDF::from(CastStruct { signature, to: to.clone() }))))
}

/// A cast that the simplifier does not look into. It takes one argument; `safe`: NULL where it fails.
pub(crate) fn kept_cast(to: &DataType, safe: bool) -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(KeptCast { signature, to: to.clone(), safe })
}

pub(crate) fn is_it(function: &ScalarUDF) -> bool {
    function.inner().is::<CastStruct>() || function.inner().is::<KeptCast>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct KeptCast {
    signature: Signature,
    to: DataType,
    safe: bool,
}

impl ScalarUDFImpl for KeptCast {
    fn name(&self) -> &str {
        if self.safe { "try_cast" } else { "cast" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else { return exec_err!("a cast takes one value") };
        let options = CastOptions { safe: self.safe, ..CastOptions::default() };
        Ok(ColumnarValue::Array(cast_with_options(&value.to_array(args.number_rows)?, &self.to, &options)?))
    }
}

fn has_structs(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Struct(_), DataType::Struct(_)) => true,
        (DataType::List(from), DataType::List(to)) => has_structs(from.data_type(), to.data_type()),
        _ => false,
    }
}

fn check(from: &DataType, to: &DataType) -> Result<()> {
    match (from, to) {
        (DataType::Struct(from), DataType::Struct(to)) => {
            let sources = counterparts(from, to)?;
            sources.iter().zip(to).try_for_each(|(i, field)| check(from[*i].data_type(), field.data_type()))
        }
        (DataType::List(from), DataType::List(to)) => check(from.data_type(), to.data_type()),
        (from, to) if arrow::compute::can_cast_types(from, to) => Ok(()),
        (from, to) => plan_err!("{} cannot be cast to {}", sql_name(from), sql_name(to)),
    }
}

/// For each field wanted, the index of the one it is made of.
fn counterparts(from: &Fields, to: &Fields) -> Result<Vec<usize>> {
    let by_name = |name: &str| {
        from.iter().position(|f| f.name() == name).or_else(|| {
            let mut all = from.iter().enumerate().filter(|(_, f)| f.name().eq_ignore_ascii_case(name));
            all.next().filter(|_| all.next().is_none()).map(|(i, _)| i)
        })
    };
    let named: Vec<Option<usize>> = to.iter().map(|field| by_name(field.name())).collect();
    if named.iter().all(Option::is_none) && from.len() == to.len() {
        return Ok((0..to.len()).collect());
    }
    let found = |(field, index): (&FieldRef, Option<usize>)| match index {
        Some(index) => Ok(index),
        None => {
            let known = from.iter().map(|f| f.name().as_str());
            plan_err!("the STRUCT has no field `{}`{}", short(field.name()), hint(field.name(), known))
        }
    };
    to.iter().zip(named).map(found).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CastStruct {
    signature: Signature,
    to: DataType,
}

impl ScalarUDFImpl for CastStruct {
    fn name(&self) -> &str {
        "cast_struct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else { return exec_err!("a cast takes one value") };
        Ok(ColumnarValue::Array(cast(&value.to_array(args.number_rows)?, &self.to)?))
    }
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), to) {
        (DataType::Struct(from), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = counterparts(from, fields)?
                .into_iter()
                .zip(fields)
                .map(|(i, field)| cast(array.column(i), field.data_type()))
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, array.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(field)) => {
            let lists = array.as_list::<i32>();
            // Of a slice, only its own values: others may be what cannot be cast.
            let (first, last) = (lists.value_offsets()[0], lists.value_offsets()[lists.len()]);
            let (start, end) = (usize::try_from(first).unwrap_or(0), usize::try_from(last).unwrap_or(0));
            let values = cast(&lists.values().slice(start, end - start), field.data_type())?;
            let offsets: Vec<i32> = lists.value_offsets().iter().map(|o| o - first).collect();
            let offsets = OffsetBuffer::new(offsets.into());
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, lists.nulls().cloned())?))
        }
        _ => Ok(cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })?),
    }
}
