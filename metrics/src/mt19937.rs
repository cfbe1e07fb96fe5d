//! `NumPy`'s legacy random stream, for results that other tools publish under a seed.

/// The Mersenne Twister with the seeding and the shuffle of `numpy.random.RandomState`.
///
/// `NumPy` keeps this stream frozen, so the subsets of a published KID can be drawn again.
///
/// # Examples
/// ```
/// use dubench_metrics::RandomState;
/// // numpy.random.RandomState(5489) starts as the reference implementation does.
/// assert_eq!(RandomState::new(5489).next_u32(), 3_499_211_612);
/// let mut order = RandomState::new(0).permutation(10);
/// assert_eq!(order, [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]); // numpy.random.RandomState(0).permutation(10)
/// order.sort_unstable();
/// assert_eq!(order, (0..10).collect::<Vec<_>>());
/// ```
#[derive(Debug, Clone)]
pub struct RandomState {
    words: Vec<u32>,
    next: usize,
}

const LENGTH: usize = 624;
const MIDDLE: usize = 397;

impl RandomState {
    /// The stream of an integer seed.
    pub fn new(seed: u32) -> Self {
        let mut words = vec![seed];
        for i in 1..LENGTH {
            let last = words[i - 1];
            let mixed = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30));
            #[expect(clippy::cast_possible_truncation, reason = "below 624")]
            words.push(mixed.wrapping_add(i as u32));
        }
        Self { words, next: LENGTH }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == LENGTH {
            self.refill();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..LENGTH {
            let joined =
                (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % LENGTH] & 0x7FFF_FFFF);
            let twisted = (joined >> 1) ^ if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + MIDDLE) % LENGTH] ^ twisted;
        }
        self.next = 0;
    }

    /// Uniform on `0..=max`: words masked to the bits of `max`, drawn again above it.
    fn interval(&mut self, max: usize) -> usize {
        let mask = usize::MAX >> max.leading_zeros().min(usize::BITS - 1);
        loop {
            let word = if u32::try_from(max).is_ok() {
                self.next_u32() as usize
            } else {
                let high = (self.next_u32() as usize) << 32;
                high | self.next_u32() as usize
            };
            if word & mask <= max {
                return word & mask;
            }
        }
    }

    /// `RandomState.permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.interval(i);
            order.swap(i, j);
        }
        order
    }

    /// `RandomState.choice(n, size, replace=False)`: the start of a permutation.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::RandomState;
    /// // numpy.random.RandomState(0).choice(10, 3, replace=False): the start of the permutation.
    /// assert_eq!(RandomState::new(0).choice(10, 3), [2, 8, 4]);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn choice(&mut self, n: usize, size: usize) -> Vec<usize> {
        let mut order = self.permutation(n);
        order.truncate(size);
        order
    }
}
