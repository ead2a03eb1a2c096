//! A map that holds so much and no more: what was put first goes first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// A bounded map. Each entry weighs something; beyond the bound the oldest are dropped.
pub(crate) struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The order in which entries came; one that was put again stands here more than once, and the newest counts.
    order: VecDeque<(K, u64)>,
    weight: usize,
    bound: usize,
    put: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    put: u64,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    /// A cache of so much weight.
    pub(crate) fn new(bound: usize) -> Cache<K, V> {
        Cache {
            entries: HashMap::new(),
            order: VecDeque::new(),
            weight: 0,
            bound,
            put: 0,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Puts an entry in the place of an older one. One that is heavier than the bound alone is not kept.
    pub(crate) fn put(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > self.bound {
            return;
        }
        self.put += 1;
        self.weight += weight;
        let put = self.put;
        self.order.push_back((key.clone(), put));
        self.entries.insert(key, Entry { value, weight, put });
        while self.weight > self.bound {
            let Some((key, put)) = self.order.pop_front() else {
                break;
            };
            self.remove_if(&key, put);
        }
        // What was put again and again leaves traces in the order only.
        if self.order.len() > 2 * self.entries.len() + 16 {
            let entries = &self.entries;
            self.order
                .retain(|(key, put)| entries.get(key).is_some_and(|entry| entry.put == *put));
        }
        assert!(self.weight <= self.bound, "a cache is over its bound");
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.weight -= entry.weight;
        Some(entry.value)
    }

    fn remove_if(&mut self, key: &K, put: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.put == put) {
            self.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut cache = Cache::new(10);
        cache.put("a", 1, 4);
        cache.put("b", 2, 4);
        cache.put("a", 3, 4);
        cache.put("c", 4, 2);
        assert_eq!((cache.len(), cache.weight()), (3, 10));
        cache.put("d", 5, 1);
        assert_eq!(cache.get(&"b"), None);
        assert_eq!(cache.get(&"a"), Some(&3));
        cache.put("e", 6, 11);
        assert_eq!((cache.get(&"e"), cache.len(), cache.weight()), (None, 3, 7));
        assert_eq!(cache.remove(&"a"), Some(3));
        assert_eq!(cache.weight(), 3);
    }

    #[test]
    fn nothing_grows_whatever_is_put() {
        let mut cache = Cache::new(8);
        for round in 0..10_000_u32 {
            cache.put(round % 5, round, 1);
            assert!(cache.order.len() <= 2 * cache.len() + 16);
        }
        for round in 0..10_000_u32 {
            cache.put(round, round, 1);
            assert!(cache.len() <= 8 && cache.order.len() <= 2 * cache.len() + 16);
        }
    }
}
