//! Many orders of names in one list.
//!
//! The list is a topological order of a graph with an edge from each name to the next one of an order, kept up to
//! date edge by edge: D. J. Pearce and P. H. J. Kelly, "A dynamic topological sort algorithm for directed acyclic
//! graphs", 2006. An order that would close a cycle is refused, and so is any more work than the budget allows, which
//! only documents made for it come to.

/// Steps along edges per name and edge, and in any case.
const BUDGET: usize = 64;
const BUDGET_FLOOR: usize = 1 << 20;

#[derive(Default)]
struct Node {
    /// Position in the list, or `None` if the node is not in it.
    rank: Option<usize>,
    after: Vec<u32>,
    before: Vec<u32>,
    visit: u32,
}

#[derive(Default)]
pub(super) struct Merge {
    nodes: Vec<Node>,
    /// The list.
    list: Vec<u32>,
    edges: usize,
    visit: u32,
    work: usize,
}

impl Merge {
    /// A list to start with, all of which holds.
    pub(super) fn new(list: &[u32]) -> Merge {
        let mut merge = Merge::default();
        merge.add(list);
        merge
    }

    /// The names in an order that every order added agrees with.
    pub(super) fn list(&self) -> &[u32] {
        &self.list
    }

    /// Position of a name in the list.
    pub(super) fn rank(&self, name: u32) -> Option<usize> {
        self.nodes.get(name as usize)?.rank
    }

    /// Adds an order of distinct names. False, and nothing is added but names, if it contradicts what is there.
    pub(super) fn add(&mut self, order: &[u32]) -> bool {
        for &name in order {
            if self.nodes.len() <= name as usize {
                self.nodes.resize_with(name as usize + 1, Node::default);
            }
            let node = &mut self.nodes[name as usize];
            if node.rank.is_none() {
                node.rank = Some(self.list.len());
                self.list.push(name);
            }
        }
        let mut added = Vec::new();
        for pair in order.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            // A look at the last edge spares most repetitions.
            if self.nodes[from as usize].after.last() == Some(&to) {
                continue;
            }
            if !self.make_room(from, to) {
                for (from, to) in added.into_iter().rev() {
                    self.remove(from, to);
                }
                return false;
            }
            self.nodes[from as usize].after.push(to);
            self.nodes[to as usize].before.push(from);
            self.edges += 1;
            added.push((from, to));
        }
        true
    }

    /// Takes back the edge, which is the last one added of both nodes.
    fn remove(&mut self, from: u32, to: u32) {
        self.nodes[from as usize].after.pop();
        self.nodes[to as usize].before.pop();
        self.edges -= 1;
    }

    /// Moves `to` behind `from` in the list; false if an edge says otherwise.
    fn make_room(&mut self, from: u32, to: u32) -> bool {
        let (Some(high), Some(low)) = (self.rank(from), self.rank(to)) else {
            return false;
        };
        if high < low {
            return true;
        }
        let Some(behind) = self.reach(to, from, high, true) else {
            return false;
        };
        let Some(ahead) = self.reach(from, to, low, false) else {
            return false;
        };
        let mut moved = ahead;
        moved.extend(behind);
        let mut ranks: Vec<usize> = moved.iter().filter_map(|&node| self.rank(node)).collect();
        ranks.sort_unstable();
        for (node, rank) in moved.into_iter().zip(ranks) {
            self.nodes[node as usize].rank = Some(rank);
            self.list[rank] = node;
        }
        true
    }

    /// The nodes that can be reached from `start` without passing the rank `bound`, in the order of the list.
    /// `None` if `target` is among them, or if the budget is spent.
    fn reach(&mut self, start: u32, target: u32, bound: usize, forward: bool) -> Option<Vec<u32>> {
        self.visit += 1;
        let budget = BUDGET * (self.edges + self.list.len()) + BUDGET_FLOOR;
        let mut found = vec![start];
        self.nodes[start as usize].visit = self.visit;
        let mut next = 0;
        while let Some(&node) = found.get(next) {
            next += 1;
            let node = &mut self.nodes[node as usize];
            let edges = std::mem::take(if forward {
                &mut node.after
            } else {
                &mut node.before
            });
            self.work += edges.len() + 1;
            let mut met = self.work > budget;
            for &neighbour in &edges {
                met |= neighbour == target;
                let other = &mut self.nodes[neighbour as usize];
                let inside = other.rank.is_some_and(|rank| {
                    if forward {
                        rank <= bound
                    } else {
                        rank >= bound
                    }
                });
                if inside && other.visit != self.visit {
                    other.visit = self.visit;
                    found.push(neighbour);
                }
            }
            let node = &mut self.nodes[found[next - 1] as usize];
            *(if forward {
                &mut node.after
            } else {
                &mut node.before
            }) = edges;
            if met {
                return None;
            }
        }
        found.sort_unstable_by_key(|&node| self.rank(node));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(list: &[u32], order: &[u32]) -> bool {
        let place = |name: &u32| list.iter().position(|n| n == name).unwrap();
        order
            .windows(2)
            .all(|pair| place(&pair[0]) < place(&pair[1]))
    }

    #[test]
    fn orders_that_agree_are_merged() {
        let orders: [&[u32]; 5] = [&[5, 1, 9], &[1, 7, 9], &[8, 5], &[7, 3], &[3, 9, 2]];
        let mut merge = Merge::default();
        for order in orders {
            assert!(merge.add(order));
        }
        for order in orders {
            assert!(agrees(merge.list(), order), "{:?}", merge.list());
        }
        assert_eq!(merge.list().len(), 7);
    }

    #[test]
    fn an_order_that_contradicts_leaves_no_edge() {
        let mut merge = Merge::new(&[1, 2, 3]);
        assert!(!merge.add(&[4, 3, 5, 1]));
        assert!(merge.add(&[5, 3]));
        assert!(merge.add(&[1, 5]));
        assert!(agrees(merge.list(), &[1, 5, 3]));
        assert!(!merge.add(&[3, 1]));
    }
}
