//! A histogram whose buckets grow by a constant factor, finer as far as its values are close to each other: base 2,
//! as OpenTelemetry defines it.

/// The finest scale: 2 to the power of 2^-20 from one bucket to the next.
const MAX_SCALE: i32 = 20;

/// What the values of one series come to. Values of both signs are told apart; zero has a bucket of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Exponential {
    pub scale: i32,
    pub zero: u64,
    pub positive: Buckets,
    pub negative: Buckets,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    /// The histogram since the last delta, once one was taken.
    since: Option<Box<Exponential>>,
}

/// Neighbouring buckets from `offset` on; bucket `i` holds what is in `(base^i, base^(i+1)]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    pub offset: i32,
    pub counts: Vec<u64>,
}

impl Default for Exponential {
    fn default() -> Self {
        Exponential {
            scale: MAX_SCALE,
            zero: 0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            since: None,
        }
    }
}

impl Exponential {
    /// Buckets of each sign at most.
    pub(super) const MAX_BUCKETS: usize = 160;

    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.zero + self.positive.count() + self.negative.count()
    }

    /// Records a finite value.
    pub(super) fn record(&mut self, value: f64) {
        if let Some(since) = &mut self.since {
            since.record(value);
        }
        self.sum = (self.sum + value).clamp(f64::MIN, f64::MAX);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value == 0.0 {
            self.zero += 1;
            return;
        }
        let mut index = index(value.abs(), self.scale);
        let buckets = if value > 0.0 { &self.positive } else { &self.negative };
        let mut by = 0;
        while buckets.width_with(index >> by, by) > Self::MAX_BUCKETS {
            by += 1;
        }
        if by > 0 {
            index >>= by;
            self.scale -= by;
            self.positive.merge(by);
            self.negative.merge(by);
        }
        let buckets = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        buckets.add(index);
    }

    /// What came since the last call; all at the first.
    pub(super) fn take(&mut self) -> Exponential {
        match self.since.replace(Box::default()) {
            Some(since) => *since,
            None => Exponential { since: None, ..self.clone() },
        }
    }
}

impl Buckets {
    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many buckets there would be with `index` among them, after merging `by` times.
    fn width_with(&self, index: i32, by: i32) -> usize {
        if self.counts.is_empty() {
            return 1;
        }
        let last = self.offset + self.counts.len() as i32 - 1;
        let (first, last) = ((self.offset >> by).min(index), (last >> by).max(index));
        (i64::from(last) - i64::from(first)) as usize + 1
    }

    /// Makes one bucket of each two, `by` times over.
    fn merge(&mut self, by: i32) {
        let offset = self.offset >> by;
        let mut merged: Vec<u64> = Vec::new();
        for (at, count) in self.counts.iter().enumerate() {
            let to = (((self.offset + at as i32) >> by) - offset) as usize;
            merged.resize(merged.len().max(to + 1), 0);
            merged[to] += count;
        }
        *self = Buckets { offset, counts: merged };
    }

    fn add(&mut self, index: i32) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        let before = usize::try_from(self.offset - index).unwrap_or(0);
        if before > 0 {
            self.counts.splice(0..0, std::iter::repeat_n(0, before));
            self.offset = index;
        }
        let at = (index - self.offset) as usize;
        self.counts.resize(self.counts.len().max(at + 1), 0);
        self.counts[at] += 1;
    }
}

/// The bucket of a positive, finite value. Upper ends belong to their bucket.
fn index(value: f64, scale: i32) -> i32 {
    const FRACTION: u64 = (1 << 52) - 1;
    // What is below the least normal number counts as that.
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let fraction = bits & FRACTION;
    if scale <= 0 {
        // A power of two is the upper end of the bucket below.
        return (exponent - i32::from(fraction == 0)) >> -scale;
    }
    if fraction == 0 {
        // Logarithms need not be exact, ends have to be.
        return (exponent << scale) - 1;
    }
    let position = f64::from_bits(fraction | 1023 << 52).log2() * f64::from(1 << scale);
    // A value just above the lower end may round to it, and one just below the upper end to that.
    let within = (position.ceil() as i32 - 1).clamp(0, (1 << scale) - 1);
    (exponent << scale) + within
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Upper end of a bucket.
    fn end(index: i32, scale: i32) -> f64 {
        2f64.powf(f64::from(index + 1) * 2f64.powi(-scale))
    }

    #[test]
    fn powers_of_two_are_upper_ends() {
        for scale in [-10, -2, 0, 1, 5, 20] {
            for exponent in [-1022, -3, 0, 1, 5, 1023] {
                let at = index(2f64.powi(exponent), scale);
                let next = index(2f64.powi(exponent) * (1.0 + f64::EPSILON), scale);
                if scale >= 0 {
                    assert_eq!(
                        (at, next),
                        ((exponent << scale) - 1, exponent << scale),
                        "{scale} {exponent}"
                    );
                } else {
                    assert_eq!(at, (exponent - 1) >> -scale);
                }
            }
        }
        assert_eq!(index(5e-324, 0), index(f64::MIN_POSITIVE, 0));
    }

    #[test]
    fn the_widest_range_fits() {
        let mut all = Exponential::default();
        for value in [f64::MIN_POSITIVE, f64::MAX, 1.0, -f64::MAX, -1e-300, 0.0] {
            all.record(value);
        }
        assert_eq!((all.count(), all.zero, all.sum), (6, 1, -1e-300));
        assert!(all.scale >= -10, "at which all doubles are in two buckets: {}", all.scale);
        let mut one = Exponential::default();
        one.record(3.0);
        assert_eq!((one.scale, one.positive.counts.as_slice()), (MAX_SCALE, &[1][..]));
    }

    #[test]
    fn deltas_add_up() {
        let mut all = Exponential::default();
        all.record(1.0);
        let first = all.take();
        assert_eq!((first.count(), first.sum), (1, 1.0));
        assert_eq!(all.take().count(), 0);
        all.record(1000.0);
        all.record(-2.0);
        let second = all.take();
        assert_eq!((second.count(), second.sum, second.min, second.max), (2, 998.0, -2.0, 1000.0));
        assert_eq!((all.count(), all.sum), (3, 999.0));
    }

    proptest! {
        /// Each value is in the bucket that its ends say, whatever was merged on the way.
        #[test]
        fn values_are_where_the_ends_say(values in proptest::collection::vec(1e-9..1e9f64, 1..200)) {
            let mut all = Exponential::default();
            values.iter().for_each(|value| all.record(*value));
            let Buckets { offset, counts } = &all.positive;
            prop_assert!(counts.len() <= Exponential::MAX_BUCKETS);
            prop_assert_eq!(all.count(), values.len() as u64);
            for (at, count) in counts.iter().enumerate() {
                let (low, high) = (end(offset + at as i32 - 1, all.scale), end(offset + at as i32, all.scale));
                // Ends that are no powers of two are not exact.
                let (inside, around) = (1e-9, 1.0 + 1e-9);
                let surely = values.iter().filter(|v| low * around < **v && **v <= high * (1.0 - inside)).count();
                let perhaps = values.iter().filter(|v| low / around < **v && **v <= high * around).count();
                prop_assert!((surely as u64..=perhaps as u64).contains(count), "{} {}..{}", count, surely, perhaps);
            }
        }
    }
}
