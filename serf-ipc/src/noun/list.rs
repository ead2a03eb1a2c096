//! Walking a list.

use super::{Noun, ShapeError};

/// The items of a list. After the last one, an error if the list ends with anything but `~`.
#[derive(Clone, Debug)]
pub struct ListIter<'a> {
    rest: Option<&'a Noun>,
    at: usize,
}

impl<'a> ListIter<'a> {
    pub(super) fn new(list: &'a Noun) -> ListIter<'a> {
        ListIter {
            rest: Some(list),
            at: 0,
        }
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Result<&'a Noun, ShapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        match rest.as_cell() {
            Some((item, tail)) => {
                self.rest = Some(tail);
                self.at += 1;
                Some(Ok(item))
            }
            None => {
                self.rest = None;
                let proper = rest.as_u64() == Some(0);
                (!proper).then(|| Err(ShapeError::new("the end of a list", rest).at_item(self.at)))
            }
        }
    }
}
