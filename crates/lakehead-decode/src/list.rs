//! A list column under construction: the elements of all lists one behind the other, and where each list ends.

use lakehead_model::schema::Field;

use crate::column::Column;
use crate::reject::{Fault, Read, syntax};
use crate::scan::{byte, skip_white};

#[derive(Debug)]
pub(crate) struct List {
    /// First 0, then one end a list.
    ends: Vec<i32>,
    pub(crate) item: Column,
}

impl List {
    pub(crate) fn new(item: &Field, build: bool) -> Self {
        List { ends: vec![0], item: Column::new(item, build) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        let items = self.ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0));
        self.item.truncate(items);
    }

    /// Makes the elements read since the last end a list.
    pub(crate) fn end_list(&mut self) {
        // Fits: fewer elements than bytes of input, which are bounded to 31 bits.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "bounded by the decoder's input"
        )]
        self.ends.push(self.item.rows() as i32);
    }

    /// Where the lists end, for the array; leaves none behind.
    pub(crate) fn take_ends(&mut self) -> Vec<i32> {
        std::mem::replace(&mut self.ends, vec![0])
    }

    /// Reads an array whose content starts at `pos`. The first element that does not fit ends the reading.
    pub(crate) fn read(&mut self, input: &[u8], pos: usize, build: bool) -> Read {
        let mut pos = skip_white(input, pos);
        if byte(input, pos) == b']' {
            pos += 1;
        } else {
            let mut index = 0;
            loop {
                pos = match self.item.read(input, pos) {
                    Ok(behind) => skip_white(input, behind),
                    Err(mut fault) => {
                        if let Fault::Unfit(reject) = &mut *fault {
                            reject.within_list(index);
                        }
                        return Err(fault);
                    }
                };
                index += 1;
                match byte(input, pos) {
                    b',' => pos = skip_white(input, pos + 1),
                    b']' => break,
                    _ => return Err(syntax(pos)),
                }
            }
            pos += 1;
        }
        if build {
            self.end_list();
        }
        Ok(pos)
    }
}
