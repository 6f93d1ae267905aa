//! `||` over texts: as DataFusion's operator, but bounded. A query can double a text with every level.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Bytes that one `||` may make of a batch.
const BYTES_MAX: usize = 64 << 20;

/// What the message of the error begins with.
pub(crate) const TOO_LARGE: &str = "`||` makes too much text";

static CONCAT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Concat::new())));

pub(crate) fn concat() -> Arc<ScalarUDF> {
    Arc::clone(&CONCAT)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    signature: Signature,
}

impl Concat {
    fn new() -> Self {
        Concat { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let text = |value: &ColumnarValue| -> Result<ArrayRef> {
            Ok(cast(&value.to_array(rows)?, &DataType::Utf8)?)
        };
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Execution("`||` takes two texts".into()));
        };
        // A constant is repeated for each row before it is counted.
        for value in [left, right] {
            if let ColumnarValue::Scalar(value) = value {
                check(value.size().saturating_mul(rows))?;
            }
        }
        let (left, right) = (text(left)?, text(right)?);
        check(bytes(&left)? + bytes(&right)?)?;
        let joined = concat_elements_utf8(strings(&left)?, strings(&right)?)?;
        Ok(ColumnarValue::Array(Arc::new(joined)))
    }
}

fn check(bytes: usize) -> Result<()> {
    if bytes > BYTES_MAX {
        return Err(DataFusionError::ResourcesExhausted(format!(
            "{TOO_LARGE}: {bytes} bytes for a batch; the limit is {BYTES_MAX}"
        )));
    }
    Ok(())
}

fn strings(array: &ArrayRef) -> Result<&StringArray> {
    array
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or_else(|| DataFusionError::Execution(format!("`||` takes texts, not {}", array.data_type())))
}

fn bytes(array: &ArrayRef) -> Result<usize> {
    let offsets = strings(array)?.value_offsets();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    Ok(usize::try_from(last - first).unwrap_or(0))
}
