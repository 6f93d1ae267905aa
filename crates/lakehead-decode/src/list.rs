//! A list column under construction: the elements of all lists one behind the other, and where each list ends.

use lakehead_model::limits::RECORD_BYTES_MAX;
use lakehead_model::schema::Field;

use crate::column::Column;
use crate::reject::{Fault, Read, Reason, Reject, syntax, unfit};
use crate::scan::{byte, skip_white};

/// Values the elements of one record's lists may have, those left out included: `{},` is three bytes of JSON and a value in
/// every column of the element. No record of the allowed size comes near by what it writes out.
const VALUES_MAX: usize = 4 << 20;
/// Elements that fit into a record.
const ELEMENTS_MAX: usize = RECORD_BYTES_MAX / 2;

#[derive(Debug)]
pub(crate) struct List {
    /// First 0, then one end a list.
    ends: Vec<i32>,
    pub(crate) item: Column,
    /// Elements read since the record began, and how many there may be; all, if a record cannot hold too many.
    elements: usize,
    elements_max: usize,
}

impl List {
    pub(crate) fn new(item: &Field, build: bool) -> Self {
        let item = Column::new(item, build);
        let fitting = VALUES_MAX / item.width();
        let elements_max = if fitting < ELEMENTS_MAX { fitting } else { usize::MAX };
        List { ends: vec![0], item, elements: 0, elements_max }
    }

    /// Whether a record can have more elements than it may, here or further in.
    pub(crate) fn is_limited(&self) -> bool {
        self.elements_max < usize::MAX || self.item.is_limited()
    }

    pub(crate) fn begin_record(&mut self) {
        self.elements = 0;
        self.item.begin_record();
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
                self.elements += 1;
                if self.elements > self.elements_max {
                    return Err(self.refuse_elements());
                }
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

    #[cold]
    fn refuse_elements(&self) -> Box<Fault> {
        let limit = self.elements_max;
        let detail =
            format!("expected List, received more than {limit} elements of this width in one record");
        unfit(Reject::new(Reason::TypeMismatch, detail))
    }
}
