//! The site's content: five creators and what they share.
//!
//! Invented people, real variety: file names with umlauts, quotation marks, kana and a plus sign, because those are what
//! object keys, `Content-Disposition` and signatures get wrong.

use crate::cover::{Motif, Palette};

/// Someone who shares work here.
#[derive(Debug)]
pub(crate) struct Creator {
    /// Number in object keys: `users/{id}/…`.
    pub(crate) id: u32,
    /// Path segment: `/c/{slug}`; also the cache tag `creator-{slug}`.
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    pub(crate) place: &'static str,
    pub(crate) tagline: &'static str,
    pub(crate) about: &'static str,
    pub(crate) motif: Motif,
    pub(crate) palette: Palette,
    pub(crate) works: &'static [Work],
}

/// One thing a creator made.
#[derive(Debug)]
pub(crate) struct Work {
    /// Path segment, unique on the whole site: `/player/{slug}`, `/listen/{slug}`, `/download/{slug}`.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) year: u16,
    pub(crate) price: &'static str,
    pub(crate) blurb: &'static str,
    /// Object key in the bucket `user-files`.
    pub(crate) key: &'static str,
    /// The name under which a browser saves it.
    pub(crate) filename: &'static str,
    pub(crate) content: Content,
}

/// What the object behind a work holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// A synthesised chord: frequencies in hertz, length in seconds.
    Tone { chord: &'static [f32], seconds: u32 },
    /// UTF-8 text.
    Text(&'static str),
    /// The work's cover art as an SVG file.
    Print,
}

impl Content {
    /// The word a page uses for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tone { .. } => "Recording",
            Self::Text(_) => "Zine",
            Self::Print => "Print",
        }
    }

    /// The object's media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Tone { .. } => "audio/wav",
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Print => "image/svg+xml",
        }
    }

    /// Whether an `<audio>` element can play it.
    pub(crate) fn is_audio(self) -> bool {
        matches!(self, Self::Tone { .. })
    }
}

/// The creator at `/c/{slug}`.
pub(crate) fn creator(slug: &str) -> Option<&'static Creator> {
    CREATORS.iter().find(|creator| creator.slug == slug)
}

/// The work with that slug, and who made it.
pub(crate) fn work(slug: &str) -> Option<(&'static Creator, &'static Work)> {
    works().find(|(_, work)| work.slug == slug)
}

/// Every work with its creator, in the order of the site.
pub(crate) fn works() -> impl Iterator<Item = (&'static Creator, &'static Work)> {
    CREATORS.iter().flat_map(|creator| creator.works.iter().map(move |work| (creator, work)))
}

/// Everyone, in the order of the home page.
pub(crate) static CREATORS: &[Creator] = &[
    Creator {
        id: 1,
        slug: "mira",
        name: "Mira Solberg",
        place: "Bergen",
        tagline: "Field recordings and slow music from a wet coast.",
        about: "I leave a recorder where the land stops and come back when the tide has turned. What it heard becomes \
                music, mostly by taking things away.",
        motif: Motif::Waves,
        palette: Palette(["#0f3d4c", "#1c6a7d", "#58a6a6", "#efa00b", "#f6ead2"]),
        works: MIRA,
    },
    Creator {
        id: 2,
        slug: "jonas",
        name: "Jonas Weber",
        place: "Leipzig",
        tagline: "Small zines about large houses.",
        about: "Sixteen pages, one staple, photocopied at night. The digital editions cost what the staple costs.",
        motif: Motif::Windows,
        palette: Palette(["#2b2140", "#5b3a6e", "#c8553d", "#f2c14e", "#f7e9d7"]),
        works: JONAS,
    },
    Creator {
        id: 3,
        slug: "amara",
        name: "Amara Okafor",
        place: "Leeds",
        tagline: "Cut-paper botany, printed slowly.",
        about: "Scissors first, ink later. Every print starts as a leaf that someone brought me and was sure that I \
                knew already.",
        motif: Motif::Leaves,
        palette: Palette(["#16412f", "#2f7d4f", "#8cb369", "#f4a259", "#f4f1de"]),
        works: AMARA,
    },
    Creator {
        id: 4,
        slug: "teodor",
        name: "Teodor Lind",
        place: "Gothenburg",
        tagline: "One oscillator, many evenings.",
        about: "Patches for a synthesiser that I solder faster than I learn to play. All recorded in one take, lamp \
                hum included.",
        motif: Motif::Rings,
        palette: Palette(["#1d1e2c", "#3c4f9c", "#7d8be0", "#f26a8d", "#f3e9f7"]),
        works: TEODOR,
    },
    Creator {
        id: 5,
        slug: "yuki",
        name: "Yuki Tanabe",
        place: "Onomichi",
        tagline: "Stairs, cats and short sentences.",
        about: "I live at the top of two hundred and eleven steps, so I write briefly and carry little.",
        motif: Motif::Hills,
        palette: Palette(["#33272a", "#7b4b52", "#d98880", "#f3c5a5", "#fbeee6"]),
        works: YUKI,
    },
];

static MIRA: &[Work] = &[
    Work {
        slug: "tide",
        title: "Tide",
        year: 2026,
        price: "€6",
        blurb: "Six hours of water under a boathouse, folded into a few seconds of one chord.",
        key: "users/1/tide.wav",
        filename: "Tide.wav",
        content: Content::Tone { chord: &[110.0, 164.81, 220.0, 277.18], seconds: 4 },
    },
    Work {
        slug: "harbour-at-four",
        title: "Harbour at Four",
        year: 2026,
        price: "€4",
        blurb: "Masts, gulls, and the first engine of the morning.",
        key: "users/1/harbour-at-four.wav",
        filename: "Harbour at Four.wav",
        content: Content::Tone { chord: &[98.0, 146.83, 246.94], seconds: 3 },
    },
    Work {
        slug: "fog-signal",
        title: "Fog Signal",
        year: 2025,
        price: "Free",
        blurb: "Two notes that mean: not here.",
        key: "users/1/fog-signal.wav",
        filename: "Fog Signal.wav",
        content: Content::Tone { chord: &[87.31, 92.5], seconds: 3 },
    },
    Work {
        slug: "regn",
        title: "Regn på tinn",
        year: 2025,
        price: "€3",
        blurb: "Rain on a tin roof, and the roof answering.",
        key: "users/1/regn på tinn.wav",
        filename: "Regn på tinn.wav",
        content: Content::Tone { chord: &[329.63, 392.0, 493.88, 587.33], seconds: 2 },
    },
    Work {
        slug: "liner-notes",
        title: "Liner Notes",
        year: 2026,
        price: "Free",
        blurb: "Where the microphones stood, and who moved them.",
        key: "users/1/liner-notes.txt",
        filename: "Liner Notes.txt",
        content: Content::Text(
            "LINER NOTES\n\nTide: a boathouse at Fedje, two microphones under the floor, one of them now in the sea.\n\
             Harbour at Four: taken from a window. The gulls were not asked.\nFog Signal: the lamp is automatic since \
             1986; the fog is not.\nRegn på tinn: my mother's roof.\n",
        ),
    },
    Work {
        slug: "tide-cover",
        title: "Tide, the print",
        year: 2026,
        price: "€12",
        blurb: "The sleeve of Tide, as large as your wall allows.",
        key: "users/1/tide-print.svg",
        filename: "Tide, the print.svg",
        content: Content::Print,
    },
];

static JONAS: &[Work] = &[
    Work {
        slug: "fuenf-fenster",
        title: "Fünf Fenster",
        year: 2026,
        price: "€2",
        blurb: "Five windows across the courtyard, and what they admit.",
        key: "users/2/Fünf Fenster.txt",
        filename: "Fünf Fenster.txt",
        content: Content::Text(
            "FÜNF FENSTER\n\n1. Im ersten brennt Licht, seit wir hier wohnen.\n2. Im zweiten übt jemand Geige, immer \
             bis zur selben Stelle.\n3. Das dritte ist zugemauert und hat trotzdem Gardinen.\n4. Im vierten steht eine \
             Katze und zählt uns.\n5. Das fünfte ist meins; von drüben sieht es aus wie die anderen.\n",
        ),
    },
    Work {
        slug: "strassenbahn",
        title: "Straßenbahn, nachts",
        year: 2025,
        price: "€2",
        blurb: "Line 11 from end to end, with everyone who got off.",
        key: "users/2/Straßenbahn, nachts.txt",
        filename: "Straßenbahn, nachts.txt",
        content: Content::Text(
            "STRASSENBAHN, NACHTS\n\nAn der Endstelle steigt der Fahrer aus, geht einmal um den Wagen und steigt vorne \
             wieder ein. Vorne ist jetzt, wo hinten war. Niemand sonst macht das so gründlich.\n",
        ),
    },
    Work {
        slug: "hinterhof",
        title: "Hinterhof",
        year: 2024,
        price: "€9",
        blurb: "A riso print in two colours that were three.",
        key: "users/2/hinterhof.svg",
        filename: "Hinterhof.svg",
        content: Content::Print,
    },
];

static AMARA: &[Work] = &[
    Work {
        slug: "leaf-and-stem",
        title: "Leaf + Stem",
        year: 2026,
        price: "€18",
        blurb: "A study in what holds what up.",
        key: "users/3/leaf+stem.svg",
        filename: "Leaf + Stem.svg",
        content: Content::Print,
    },
    Work {
        slug: "market-day",
        title: "Market Day",
        year: 2026,
        price: "€18",
        blurb: "Bitter leaf, scent leaf, and a bag that did not survive.",
        key: "users/3/market-day.svg",
        filename: "Market Day.svg",
        content: Content::Print,
    },
    Work {
        slug: "windowsill",
        title: "Windowsill",
        year: 2025,
        price: "€14",
        blurb: "Everything that grew towards the glass in March.",
        key: "users/3/windowsill.svg",
        filename: "Windowsill.svg",
        content: Content::Print,
    },
    Work {
        slug: "how-to-cut-a-fern",
        title: "How to Cut a Fern",
        year: 2025,
        price: "Free",
        blurb: "A page of advice, most of it patience.",
        key: "users/3/how to cut a fern.txt",
        filename: "How to Cut a Fern.txt",
        content: Content::Text(
            "HOW TO CUT A FERN\n\nTurn the paper, not the scissors.\nStart at the tip, where a mistake is small.\nStop \
             before it is finished; the eye does the rest and likes being asked.\n",
        ),
    },
    Work {
        slug: "greenhouse",
        title: "Greenhouse, Whistling",
        year: 2024,
        price: "€2",
        blurb: "The heating of a glasshouse, which is in tune.",
        key: "users/3/greenhouse.wav",
        filename: "Greenhouse, Whistling.wav",
        content: Content::Tone { chord: &[261.63, 329.63, 392.0], seconds: 2 },
    },
];

static TEODOR: &[Work] = &[
    Work {
        slug: "patch-14",
        title: "Patch 14",
        year: 2026,
        price: "€3",
        blurb: "The one where the cable was in the wrong hole, kept.",
        key: "users/4/patch-14.wav",
        filename: "Patch 14.wav",
        content: Content::Tone { chord: &[130.81, 196.0, 311.13, 466.16], seconds: 3 },
    },
    Work {
        slug: "one-lamp",
        title: "Drone for “One Lamp”",
        year: 2025,
        price: "€3",
        blurb: "Fifty hertz and its relatives.",
        key: "users/4/drone for one lamp.wav",
        filename: "Drone for \"One Lamp\".wav",
        content: Content::Tone { chord: &[50.0, 100.0, 150.0, 200.0], seconds: 3 },
    },
    Work {
        slug: "patch-notes",
        title: "Patch Notes",
        year: 2026,
        price: "Free",
        blurb: "Every cable of every patch, so that you can make the same mistakes.",
        key: "users/4/patch-notes.txt",
        filename: "Patch Notes.txt",
        content: Content::Text(
            "PATCH NOTES\n\n14: out 2 -> in 1 (should have been in 2; it is better).\n13: lost.\n12: see 14, without \
             the luck.\n",
        ),
    },
];

static YUKI: &[Work] = &[
    Work {
        slug: "chiisana-machi",
        title: "小さな町",
        year: 2026,
        price: "€4",
        blurb: "A small town, in twelve sentences and four cats.",
        key: "users/5/小さな町.txt",
        filename: "小さな町.txt",
        content: Content::Text(
            "小さな町\n\n坂の上から見ると、海は庭の続きだ。\n猫は四匹、階段は二百十一段。\n郵便屋さんは毎日、途中で一度だけ休む。\n",
        ),
    },
    Work {
        slug: "stairs",
        title: "Two Hundred and Eleven",
        year: 2025,
        price: "€10",
        blurb: "Every step, drawn once.",
        key: "users/5/stairs.svg",
        filename: "Two Hundred and Eleven.svg",
        content: Content::Print,
    },
    Work {
        slug: "evening-bell",
        title: "Evening Bell",
        year: 2025,
        price: "Free",
        blurb: "The temple below, from the kitchen above.",
        key: "users/5/evening-bell.wav",
        filename: "Evening Bell.wav",
        content: Content::Tone { chord: &[174.61, 349.23, 419.0, 523.25], seconds: 3 },
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slugs_keys_and_numbers_are_unique() {
        let slugs: HashSet<_> = works().map(|(_, work)| work.slug).collect();
        let keys: HashSet<_> = works().map(|(_, work)| work.key).collect();
        assert_eq!((slugs.len(), keys.len()), (works().count(), works().count()));
        for (creator, work) in works() {
            assert!(work.key.starts_with(&format!("users/{}/", creator.id)), "{} is not under its creator", work.key);
            assert!(work.slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }

    #[test]
    fn lookups_find_what_is_there_and_nothing_else() {
        assert_eq!(work("tide").map(|(creator, work)| (creator.slug, work.title)), Some(("mira", "Tide")));
        assert!(work("Tide").is_none() && work("").is_none());
        assert!(creator("mira").is_some() && creator("mir").is_none());
    }
}
