//! Where the large parts of values go when nobody holds them any more: freeing them takes long, and is done in slices.
//!
//! Owns: what is to be freed, and freeing it. Must not: hold what somebody else still needs for longer than that.

use std::cell::RefCell;
use std::rc::Rc;

/// Bytes that are given back at once: the system takes as long for them as for some hundred small allocations.
const STEP: usize = 1 << 20;
/// What that counts, where a small allocation counts 1.
const STEP_EFFORT: usize = 200;

/// Something that is freed in slices.
pub trait Debris {
    /// Frees some of it, and takes from the budget what that costs (in small allocations); true if nothing is left.
    fn free_some(&mut self, budget: &mut usize) -> bool;
}

impl Debris for Vec<u8> {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while self.capacity() > STEP {
            if *budget == 0 {
                return false;
            }
            self.clear();
            self.shrink_to(self.capacity() - STEP);
            *budget = budget.saturating_sub(STEP_EFFORT);
        }
        *budget = budget.saturating_sub(self.capacity() / (STEP / STEP_EFFORT));
        true
    }
}

/// See the module. Everybody who holds a clone holds the same.
#[derive(Clone, Default)]
pub struct Rubble(Rc<RefCell<Vec<Box<dyn Debris>>>>);

impl Rubble {
    /// This is to be freed.
    pub fn push(&self, debris: impl Debris + 'static) {
        self.0.borrow_mut().push(Box::new(debris));
    }

    /// This buffer is of no use any more: it is freed, in slices if it is large.
    pub fn free(&self, bytes: Vec<u8>) {
        if bytes.capacity() > STEP {
            self.push(bytes);
        }
    }

    /// How many things are to be freed.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Frees with about this budget; true if nothing is left.
    pub fn free_some(&self, budget: &mut usize) -> bool {
        // Freeing may bring more: it is not borrowed meanwhile.
        while *budget > 0 {
            let next = self.0.borrow_mut().pop();
            let Some(mut debris) = next else { return true };
            if !debris.free_some(budget) {
                self.0.borrow_mut().push(debris);
            }
        }
        self.is_empty()
    }

    /// Whether nothing is left, and nobody else could bring anything.
    pub fn is_done(&self) -> bool {
        Rc::strong_count(&self.0) == 1 && self.is_empty()
    }
}

impl std::fmt::Debug for Rubble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rubble({})", self.len())
    }
}
