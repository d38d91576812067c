//! Long answers, a page at a time: `PageSize`, `Marker` and `NextMarker`.
//!
//! A marker names the last thing told, not a position: what is made or deleted between two pages shifts nothing.

use crate::model::Fault;

use super::checks;

/// The most that one page tells, and what it tells unless the caller wants less.
const MOST: usize = 400;

/// Which page of a list the caller wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paging {
    list: &'static str,
    size: usize,
    after: Option<String>,
}

impl Paging {
    /// Reads `PageSize` and `Marker`. `list` says which list a marker is of: one of another list is refused.
    ///
    /// # Errors
    /// `ValidationError` if the size is not 1 to 400, or we did not write the marker.
    pub fn new(list: &'static str, page_size: Option<i64>, marker: Option<&str>) -> Result<Self, Fault> {
        let size = match page_size {
            Some(size) => checks::within("PageSize", size, 1..=MOST as i64)? as usize,
            None => MOST,
        };
        let after = match marker.filter(|marker| !marker.is_empty()) {
            Some(marker) => Some(read(list, marker).ok_or_else(|| {
                Fault::validation(
                    "Marker is not one that this operation gave: pass the NextMarker of its last answer, or none to \
                     start from the beginning",
                )
            })?),
            None => None,
        };
        Ok(Self { list, size, after })
    }

    /// The page, and the marker of the next one if there is more. `items` are in the order of their keys, each of
    /// which stands once.
    pub fn page<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl for<'k> Fn(&'k T) -> &'k str,
    ) -> (Vec<T>, Option<String>) {
        let after = self.after.as_deref();
        let mut rest = items.into_iter().filter(|item| after.is_none_or(|after| key(item) > after));
        let page: Vec<T> = rest.by_ref().take(self.size).collect();
        let more = page.len() == self.size && rest.next().is_some();
        let next = page.last().filter(|_| more).map(|last| write(self.list, key(last)));
        (page, next)
    }

    /// The same for lists in an order of their own, which do not change between pages: by position.
    pub fn page_of_list<T>(&self, items: impl IntoIterator<Item = T>) -> (Vec<T>, Option<String>) {
        let numbered = items.into_iter().enumerate().map(|(position, item)| (format!("{position:08}"), item));
        let (page, next) = self.page(numbered, |(position, _)| position);
        (page.into_iter().map(|(_, item)| item).collect(), next)
    }
}

fn write(list: &str, key: &str) -> String {
    hex::encode(format!("{list}/{key}"))
}

fn read(list: &str, marker: &str) -> Option<String> {
    let text = String::from_utf8(hex::decode(marker).ok()?).ok()?;
    Some(text.strip_prefix(list)?.strip_prefix('/')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{number:05}")).collect()
    }

    /// All pages of a list, one after the other.
    fn walk(keys: &[String], size: Option<i64>) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let paging = Paging::new("keys", size, marker.as_deref()).unwrap();
            let (page, next) = paging.page(keys.iter().cloned(), |key| key);
            pages.push(page);
            marker = next;
            if marker.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn every_key_once_in_order() {
        let keys = keys(1000);
        for size in [None, Some(1), Some(7), Some(399), Some(400)] {
            let pages = walk(&keys, size);
            assert_eq!(pages.concat(), keys, "{size:?}");
            assert_eq!(pages.len(), 1000_usize.div_ceil(size.unwrap_or(400) as usize), "{size:?}");
        }
    }

    /// A list that ends with a page has no marker that leads to an empty one.
    #[test]
    fn the_last_page_is_not_empty() {
        assert_eq!(walk(&keys(800), None).len(), 2);
        assert_eq!(walk(&keys(400), None).len(), 1);
        assert_eq!(walk(&[], None), [[] as [String; 0]]);
    }

    #[test]
    fn what_goes_between_pages_shifts_nothing() {
        let mut keys = keys(10);
        let (page, next) = Paging::new("keys", Some(4), None).unwrap().page(keys.iter(), |key| key);
        assert_eq!(page, ["00000", "00001", "00002", "00003"]);
        let marker = next.unwrap();
        keys.drain(0..4);
        let (page, _) = Paging::new("keys", Some(4), Some(&marker)).unwrap().page(keys.iter(), |key| key);
        assert_eq!(page, ["00004", "00005", "00006", "00007"]);
    }

    #[test]
    fn lists_in_their_own_order() {
        let list = ["z", "a", "m"];
        let (page, next) = Paging::new("list", Some(2), None).unwrap().page_of_list(list);
        assert_eq!(page, ["z", "a"]);
        let (page, next) = Paging::new("list", Some(2), next.as_deref()).unwrap().page_of_list(list);
        assert_eq!((page, next), (vec!["m"], None));
    }

    #[test]
    fn refusals() {
        for size in [-1, 0, 401, i64::MAX, i64::MIN] {
            assert_eq!(Paging::new("keys", Some(size), None).unwrap_err().code, Code::ValidationError, "{size}");
        }
        for size in [1, 400] {
            assert!(Paging::new("keys", Some(size), None).is_ok());
        }
        let of_another_list = write("others", "00001");
        for marker in ["x", "zz", "00", "ff", &hex::encode("keys"), &hex::encode([0xff, 0xfe]), &of_another_list] {
            assert_eq!(Paging::new("keys", None, Some(marker)).unwrap_err().code, Code::ValidationError, "{marker}");
        }
        assert_eq!(Paging::new("keys", None, Some("")), Paging::new("keys", None, None));
    }
}
