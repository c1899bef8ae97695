//! What the stack puts into the embedded bucket: the file behind every work, and a cover per creator.

use std::f32::consts::TAU;

use crate::{
    cover::cover,
    ota,
    site::{CREATORS, Content, works},
};

/// The bucket (by its role in the gateway's configuration) that holds creators' files.
pub(crate) const USER_FILES: &str = "user-files";

/// Samples a second of the synthesised recordings.
const SAMPLE_RATE: u32 = 22_050;

/// One object to seed.
#[derive(Debug, Clone)]
pub struct Object {
    /// The bucket by its role, `user-files` or `ota`.
    pub bucket: &'static str,
    /// The key, unencoded UTF-8: spaces, quotation marks and umlauts occur.
    pub key: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content, the same in every run.
    pub bytes: Vec<u8>,
}

/// Every object that the demo's pages can hand off to.
#[must_use]
pub fn objects() -> Vec<Object> {
    let files = works().map(|(creator, work)| Object {
        bucket: USER_FILES,
        key: work.key.to_owned(),
        content_type: work.content.media_type(),
        bytes: match work.content {
            Content::Tone { chord, seconds } => wav(chord, seconds),
            Content::Text(text) => text.as_bytes().to_vec(),
            Content::Print => cover(creator.motif, creator.palette, work.slug).into_bytes(),
        },
    });
    let covers = CREATORS.iter().map(|creator| Object {
        bucket: USER_FILES,
        key: format!("users/{}/cover.svg", creator.id),
        content_type: "image/svg+xml",
        bytes: cover(creator.motif, creator.palette, creator.slug).into_bytes(),
    });
    files.chain(covers).chain(ota::objects()).collect()
}

/// A chord that swells and fades, as RIFF/WAVE: 16-bit PCM, mono.
fn wav(chord: &[f32], seconds: u32) -> Vec<u8> {
    let samples = SAMPLE_RATE * seconds;
    let data = samples * 2;
    let mut file = Vec::with_capacity(44 + samples as usize * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes()); // PCM
    file.extend_from_slice(&1_u16.to_le_bytes()); // one channel
    file.extend_from_slice(&SAMPLE_RATE.to_le_bytes());
    file.extend_from_slice(&(SAMPLE_RATE * 2).to_le_bytes()); // bytes a second
    file.extend_from_slice(&2_u16.to_le_bytes()); // bytes a frame
    file.extend_from_slice(&16_u16.to_le_bytes()); // bits a sample
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    for sample in 0..samples {
        file.extend_from_slice(&amplitude(chord, sample, samples).to_le_bytes());
    }
    file
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a few seconds of audio fit f32")]
fn amplitude(chord: &[f32], sample: u32, samples: u32) -> i16 {
    let time = sample as f32 / SAMPLE_RATE as f32;
    let swell = (std::f32::consts::PI * sample as f32 / samples as f32).sin();
    let sum: f32 = chord.iter().map(|frequency| (TAU * frequency * time).sin()).sum();
    (sum / chord.len() as f32 * swell * 0.6 * f32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_a_well_formed_wave_file() {
        let file = wav(&[440.0], 2);
        assert_eq!(file.len(), 44 + 2 * 2 * SAMPLE_RATE as usize);
        assert_eq!((&file[..4], &file[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
        let riff = u32::from_le_bytes(file[4..8].try_into().expect("four bytes"));
        let data = u32::from_le_bytes(file[40..44].try_into().expect("four bytes"));
        assert_eq!((riff as usize, data as usize), (file.len() - 8, file.len() - 44));
        assert!(file[44..].iter().any(|&byte| byte != 0), "silence");
    }

    #[test]
    fn every_work_and_creator_has_its_object() {
        let objects = objects();
        assert_eq!(objects.len(), works().count() + CREATORS.len() + ota::objects().count());
        for key in ["users/1/tide.wav", "users/2/Fünf Fenster.txt", "users/1/cover.svg", "users/5/小さな町.txt"] {
            let object = objects.iter().find(|object| object.key == key);
            assert!(object.is_some_and(|object| !object.bytes.is_empty()), "{key} is missing");
        }
    }
}
