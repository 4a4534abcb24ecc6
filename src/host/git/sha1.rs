//! SHA-1 (RFC 3174), by which Git names the content of a file. Nothing depends on its strength here.

/// The name of an object.
pub(super) type Id = [u8; 20];

const BLOCK: usize = 64;

/// A hash of bytes that come one after another.
#[derive(Debug)]
pub(super) struct Sha1 {
    state: [u32; 5],
    block: Vec<u8>,
    length: u64,
}

impl Sha1 {
    pub(super) fn new() -> Self {
        Self {
            state: [
                0x6745_2301,
                0xefcd_ab89,
                0x98ba_dcfe,
                0x1032_5476,
                0xc3d2_e1f0,
            ],
            block: Vec::with_capacity(BLOCK),
            length: 0,
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(head);
            bytes = rest;
            if self.block.len() == BLOCK {
                self.compress();
            }
        }
    }

    pub(super) fn finish(mut self) -> Id {
        let bits = self.length.wrapping_mul(8);
        self.update(&[0x80]);
        while self.block.len() != BLOCK - 8 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut id = Id::default();
        for (out, word) in id.chunks_mut(4).zip(self.state) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        id
    }

    #[expect(
        clippy::many_single_char_names,
        reason = "they have the names of the standard"
    )]
    fn compress(&mut self) {
        let mut words: Vec<u32> = Vec::with_capacity(80);
        for four in self.block.chunks(4) {
            words.push(
                four.iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte)),
            );
        }
        self.block.clear();
        for at in 16..80 {
            let word = |back: usize| words.get(at - back).copied().unwrap_or_default();
            let next = word(3) ^ word(8) ^ word(14) ^ word(16);
            words.push(next.rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (at, word) in words.into_iter().enumerate() {
            let (f, k) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e);
            let next = next.wrapping_add(k).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (word, add) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sha1;

    /// RFC 3174, section 7.3, and the empty text.
    #[test]
    fn the_examples_of_the_standard_agree() {
        for (text, repeated, expected) in [
            ("", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("a", 1_000_000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            (
                "0123456701234567012345670123456701234567012345670123456701234567",
                10,
                "dea356a2cddd90c7a7ecedc5ebb563934f460452",
            ),
        ] {
            let mut hash = Sha1::new();
            for _ in 0..repeated {
                hash.update(text.as_bytes());
            }
            let id = hash.finish();
            let hex = id
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            assert_eq!(hex, expected, "{text:?}");
        }
    }
}
