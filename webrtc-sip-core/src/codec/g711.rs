//! G.711 (ITU-T G.711, RFC 3551 section 4.5.14) by table.

use super::concealment::Concealment;
use super::{CodecError, CodecKind, Decoder, Encoder, MAX_FRAME_SAMPLES};

/// Codes by the upper 14 bits of the sample; G.711 looks at no more.
type EncodeTable = [u8; 1 << 14];
type DecodeTable = [i16; 256];

static MU_LAW_ENCODE: EncodeTable = encode_table(Law::Mu);
static A_LAW_ENCODE: EncodeTable = encode_table(Law::A);
static MU_LAW_DECODE: DecodeTable = decode_table(Law::Mu);
static A_LAW_DECODE: DecodeTable = decode_table(Law::A);

#[derive(Clone, Copy, Debug)]
enum Law {
    Mu,
    A,
}

const fn encode_table(law: Law) -> EncodeTable {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        let sample = ((index as u16) << 2) as i16;
        table[index] = match law {
            Law::Mu => mu_law_code(sample),
            Law::A => a_law_code(sample),
        };
        index += 1;
    }
    table
}

const fn decode_table(law: Law) -> DecodeTable {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_law_sample(code as u8),
            Law::A => a_law_sample(code as u8),
        };
        code += 1;
    }
    table
}

/// Table 2 of G.711: 14-bit magnitude plus a bias of 33, as segment and four bits of mantissa, all bits inverted. A
/// negative sample's magnitude is its ones' complement.
const fn mu_law_code(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0x80, !sample >> 2) } else { (0, sample >> 2) };
    let biased = if magnitude + 33 > 0x1fff { 0x1fff } else { (magnitude + 33) as u16 };
    let segment = 10 - biased.leading_zeros() as u8;
    let mantissa = (biased >> (segment + 1)) as u8 & 0x0f;
    !(sign | segment << 4 | mantissa)
}

const fn mu_law_sample(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((((code & 0x0f) as i16) << 1 | 33) << (code >> 4 & 7)) - 33;
    if code & 0x80 != 0 { -magnitude << 2 } else { magnitude << 2 }
}

/// Table 1 of G.711: 12-bit magnitude, as segment and four bits of mantissa, every other bit inverted.
const fn a_law_code(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 { (0, !sample >> 4) } else { (0x80, sample >> 4) };
    let magnitude = magnitude as u16;
    let segment = if magnitude < 0x20 { (magnitude >> 4) as u8 } else { 12 - magnitude.leading_zeros() as u8 };
    let mantissa = (if segment < 2 { magnitude } else { magnitude >> (segment - 1) }) as u8 & 0x0f;
    (sign | segment << 4 | mantissa) ^ 0x55
}

const fn a_law_sample(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = code >> 4 & 7;
    // Half a step is added, so that a sample is decoded to the middle of its interval.
    let mantissa = ((code & 0x0f) as i16) << 1 | 1;
    let magnitude = if segment == 0 { mantissa } else { (mantissa + 32) << (segment - 1) };
    if code & 0x80 != 0 { magnitude << 3 } else { -magnitude << 3 }
}

/// PCMU or PCMA.
pub(super) struct G711Encoder {
    kind: CodecKind,
    table: &'static EncodeTable,
}

impl G711Encoder {
    pub(super) fn mu_law() -> Self {
        G711Encoder { kind: CodecKind::Pcmu, table: &MU_LAW_ENCODE }
    }

    pub(super) fn a_law() -> Self {
        G711Encoder { kind: CodecKind::Pcma, table: &A_LAW_ENCODE }
    }
}

impl Encoder for G711Encoder {
    fn kind(&self) -> CodecKind {
        self.kind
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        let payload = payload.get_mut(..samples.len()).ok_or(CodecError::NoRoom)?;
        for (code, sample) in payload.iter_mut().zip(samples) {
            *code = self.table[usize::from(*sample as u16 >> 2)];
        }
        Ok(samples.len())
    }
}

/// PCMU or PCMA, with concealment of lost packets.
pub(super) struct G711Decoder {
    kind: CodecKind,
    table: &'static DecodeTable,
    concealment: Concealment,
}

impl G711Decoder {
    pub(super) fn mu_law() -> Self {
        G711Decoder { kind: CodecKind::Pcmu, table: &MU_LAW_DECODE, concealment: Concealment::new() }
    }

    pub(super) fn a_law() -> Self {
        G711Decoder { kind: CodecKind::Pcma, table: &A_LAW_DECODE, concealment: Concealment::new() }
    }
}

impl Decoder for G711Decoder {
    fn kind(&self) -> CodecKind {
        self.kind
    }

    fn sample_count(&self, payload: &[u8]) -> Result<usize, CodecError> {
        if payload.is_empty() || payload.len() > MAX_FRAME_SAMPLES {
            return Err(CodecError::Malformed);
        }
        Ok(payload.len())
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.sample_count(payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::NoRoom)?;
        for (sample, code) in samples.iter_mut().zip(payload) {
            *sample = self.table[usize::from(*code)];
        }
        self.concealment.good(samples);
        Ok(count)
    }

    fn conceal(&mut self, samples: &mut [i16]) {
        self.concealment.lost(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(encoder: &mut G711Encoder, sample: i16) -> u8 {
        let mut code = [0];
        encoder.encode(&[sample], &mut code).unwrap();
        code[0]
    }

    #[test]
    fn known_codes() {
        // Decision and quantisation values of G.711 tables 1a and 2a, scaled to 16 bits.
        let mut mu = G711Encoder::mu_law();
        assert_eq!([0, 32_767, -32_768, -1].map(|sample| code(&mut mu, sample)), [0xff, 0x80, 0x00, 0x7f]);
        assert_eq!([0xff, 0x80, 0x00, 0x7f].map(|code: usize| MU_LAW_DECODE[code]), [0, 32_124, -32_124, 0]);
        let mut a = G711Encoder::a_law();
        assert_eq!([0, 32_767, -32_768, -1].map(|sample| code(&mut a, sample)), [0xd5, 0xaa, 0x2a, 0x55]);
        assert_eq!([0xd5, 0xaa, 0x2a, 0x55].map(|code: usize| A_LAW_DECODE[code]), [8, 32_256, -32_256, -8]);
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for (mut encoder, table) in [(G711Encoder::mu_law(), &MU_LAW_DECODE), (G711Encoder::a_law(), &A_LAW_DECODE)] {
            for byte in 0..=255u8 {
                // Mu-law has two zeros.
                if !(encoder.kind == CodecKind::Pcmu && byte == 0x7f) {
                    assert_eq!(code(&mut encoder, table[usize::from(byte)]), byte);
                }
            }
        }
    }

    #[test]
    fn the_error_is_within_half_a_step() {
        for (mut encoder, table) in [(G711Encoder::mu_law(), &MU_LAW_DECODE), (G711Encoder::a_law(), &A_LAW_DECODE)] {
            for sample in (-32_000i32..32_000).step_by(7) {
                let decoded = i32::from(table[usize::from(code(&mut encoder, sample as i16))]);
                // Sixteen steps to a segment, and the lower two or three bits aren't looked at.
                assert!((decoded - sample).abs() <= (sample.abs() + 132) / 31 + 8, "{sample} became {decoded}");
            }
        }
    }

    #[test]
    fn lengths_are_checked() {
        let mut decoder = G711Decoder::a_law();
        let mut samples = [0; 80];
        assert_eq!(decoder.decode(&[], &mut samples), Err(CodecError::Malformed));
        assert_eq!(decoder.decode(&[0; 81], &mut samples), Err(CodecError::NoRoom));
        assert_eq!(decoder.sample_count(&[0; MAX_FRAME_SAMPLES + 1]), Err(CodecError::Malformed));
        assert_eq!(G711Encoder::a_law().encode(&samples, &mut [0; 79]), Err(CodecError::NoRoom));
    }
}
