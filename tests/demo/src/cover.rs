//! Cover art as SVG, drawn from a seed: the same work always gets the same picture, no two works the same one.
//!
//! Flat shapes without gradients or ids, so that several can stand in one page, and no `style` attributes, so that a strict
//! Content-Security-Policy lets them through.

use std::fmt::Write as _;

/// Five colours, from the darkest to the paper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette(pub(crate) [&'static str; 5]);

/// What a creator's covers show.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Motif {
    /// Bands of water under a sun.
    Waves,
    /// The back of a house at night.
    Windows,
    /// Cut-paper fronds.
    Leaves,
    /// Arcs around a centre.
    Rings,
    /// Hills behind hills, and a moon.
    Hills,
}

/// A picture of 400 × 400 units. `seed` names it (a work's or a creator's slug); it is decoration, so hidden from screen
/// readers: the title stands beside it.
pub(crate) fn cover(motif: Motif, palette: Palette, seed: &str) -> String {
    let mut dice = Dice::new(seed);
    let mut svg = String::with_capacity(4096);
    svg.push_str(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false">"#,
    );
    match motif {
        Motif::Waves => waves(&mut svg, palette, &mut dice),
        Motif::Windows => windows(&mut svg, palette, &mut dice),
        Motif::Leaves => leaves(&mut svg, palette, &mut dice),
        Motif::Rings => rings(&mut svg, palette, &mut dice),
        Motif::Hills => hills(&mut svg, palette, &mut dice),
    }
    svg.push_str("</svg>");
    svg
}

/// A xorshift generator: the pictures need variety, not randomness.
struct Dice(u64);

impl Dice {
    fn new(seed: &str) -> Self {
        // FNV-1a, then never zero: xorshift would stay there.
        let hash = seed
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash | 1)
    }

    /// A whole number in `low..=high`.
    fn roll(&mut self, low: i32, high: i32) -> i32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let span = u64::from(high.abs_diff(low)) + 1;
        low + i32::try_from((self.0 >> 11) % span).unwrap_or(0)
    }
}

/// `fmt::Write` for a `String` cannot fail.
fn draw(svg: &mut String, shape: std::fmt::Arguments<'_>) {
    let _ = svg.write_fmt(shape);
}

fn ground(svg: &mut String, colour: &str) {
    draw(svg, format_args!(r#"<path fill="{colour}" d="M0 0h400v400H0z"/>"#));
}

fn waves(svg: &mut String, Palette([deep, sea, foam, sun, paper]): Palette, dice: &mut Dice) {
    ground(svg, paper);
    let (x, y, r) = (dice.roll(90, 310), dice.roll(90, 170), dice.roll(44, 76));
    draw(svg, format_args!(r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{sun}"/>"#));
    let mut top = dice.roll(150, 190);
    for colour in [foam, sea, foam, sea, deep, sea, deep] {
        let (swell, shift) = (dice.roll(10, 30), dice.roll(-60, 0));
        draw(
            svg,
            format_args!(
                r#"<path fill="{colour}" d="M{shift} {top}q60 -{swell} 120 0t120 0 120 0 120 0V400H{shift}z"/>"#
            ),
        );
        top += dice.roll(26, 42);
    }
}

fn windows(svg: &mut String, Palette([night, wall, brick, lamp, paper]): Palette, dice: &mut Dice) {
    ground(svg, night);
    let x = dice.roll(40, 360);
    draw(svg, format_args!(r#"<circle cx="{x}" cy="52" r="22" fill="{paper}"/>"#));
    let (columns, rows) = (dice.roll(4, 5), dice.roll(4, 5));
    let roof = dice.roll(70, 110);
    let facade = if dice.roll(0, 1) == 0 { wall } else { brick };
    draw(svg, format_args!(r#"<path fill="{facade}" d="M24 400V{roof}h352v290z"/>"#));
    let (width, height) = (352 / columns, (390 - roof) / rows);
    for row in 0..rows {
        for column in 0..columns {
            let (left, top) = (24 + column * width + width / 5, roof + row * height + height / 5);
            let (w, h) = (width * 3 / 5, height * 3 / 5);
            let pane = match dice.roll(0, 5) {
                0 | 1 => lamp,
                2 => paper,
                _ => night,
            };
            draw(svg, format_args!(r#"<rect x="{left}" y="{top}" width="{w}" height="{h}" fill="{pane}"/>"#));
            let (middle, sill) = (left + w / 2, top + h);
            draw(
                svg,
                format_args!(r#"<path stroke="{facade}" stroke-width="4" d="M{middle} {top}v{h}M{left} {sill}h{w}"/>"#),
            );
        }
    }
}

fn leaves(svg: &mut String, Palette([shade, leaf, young, fruit, paper]): Palette, dice: &mut Dice) {
    ground(svg, if dice.roll(0, 2) == 0 { young } else { paper });
    for stem in 0..3 {
        let (root, lean) = (80 + stem * 120 + dice.roll(-20, 20), dice.roll(-26, 26));
        let colour = if stem % 2 == 0 { shade } else { leaf };
        draw(svg, format_args!(r#"<g fill="{colour}" transform="rotate({lean} {root} 420)">"#));
        draw(svg, format_args!(r#"<path d="M{} 420L{root} 60 {} 420z"/>"#, root - 4, root + 4));
        let pairs = dice.roll(5, 7);
        for pair in 0..pairs {
            let (y, reach) = (380 - pair * 330 / pairs, 76 - pair * 44 / pairs);
            let lift = reach * 3 / 4;
            for side in [-1, 1] {
                let (tip, bulge) = (root + side * reach, root + side * reach / 5);
                draw(
                    svg,
                    format_args!(
                        r#"<path d="M{root} {y}Q{bulge} {} {tip} {}Q{tip} {} {root} {y}z"/>"#,
                        y - lift,
                        y - lift,
                        y - 6
                    ),
                );
            }
        }
        svg.push_str("</g>");
    }
    for _ in 0..dice.roll(3, 6) {
        let (x, y, r) = (dice.roll(30, 370), dice.roll(30, 330), dice.roll(9, 20));
        draw(svg, format_args!(r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{fruit}"/>"#));
    }
}

fn rings(svg: &mut String, Palette([dark, blue, pale, hot, paper]): Palette, dice: &mut Dice) {
    ground(svg, dark);
    let (x, y) = (dice.roll(130, 270), dice.roll(130, 270));
    for ring in (1..=9).rev() {
        let r = ring * 24;
        let colour = match dice.roll(0, 4) {
            0 => hot,
            1 => paper,
            2 => pale,
            _ => blue,
        };
        // A dash pattern in hundredths of the circumference leaves an arc of it.
        let (arc, turn, width) = (dice.roll(35, 92), dice.roll(0, 359), dice.roll(5, 15));
        draw(
            svg,
            format_args!(
                r#"<circle cx="{x}" cy="{y}" r="{r}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round" pathLength="100" stroke-dasharray="{arc} 100" transform="rotate({turn} {x} {y})"/>"#
            ),
        );
    }
    draw(svg, format_args!(r#"<circle cx="{x}" cy="{y}" r="9" fill="{hot}"/>"#));
}

fn hills(svg: &mut String, Palette([trunk, far, near, haze, paper]): Palette, dice: &mut Dice) {
    ground(svg, haze);
    let (x, y, r) = (dice.roll(80, 320), dice.roll(70, 130), dice.roll(32, 60));
    draw(svg, format_args!(r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{paper}"/>"#));
    let mut base = dice.roll(170, 200);
    for colour in [near, far, near, trunk] {
        let (left, peak, right) = (base + dice.roll(-20, 60), base - dice.roll(20, 70), base + dice.roll(-20, 60));
        let ridge = dice.roll(120, 280);
        draw(
            svg,
            format_args!(
                r#"<path fill="{colour}" d="M0 {left}C{} {left} {} {peak} {ridge} {peak}S{} {right} 400 {right}V400H0z"/>"#,
                ridge / 2,
                ridge * 3 / 4,
                ridge + 60
            ),
        );
        base += dice.roll(48, 64);
    }
    // The stairs: short treads climbing out of the foreground.
    let (mut tread, mut step) = (dice.roll(60, 180), 392);
    let side = if dice.roll(0, 1) == 0 { 1 } else { -1 };
    for number in 0..11 {
        let width = 46 - number * 3;
        draw(svg, format_args!(r#"<rect x="{tread}" y="{step}" width="{width}" height="5" fill="{paper}"/>"#));
        tread += side * 12 + 2;
        step -= 14;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: Palette = Palette(["#000001", "#000002", "#000003", "#000004", "#000005"]);

    #[test]
    fn the_seed_decides() {
        for motif in [Motif::Waves, Motif::Windows, Motif::Leaves, Motif::Rings, Motif::Hills] {
            assert_eq!(cover(motif, PALETTE, "tide"), cover(motif, PALETTE, "tide"));
            assert_ne!(cover(motif, PALETTE, "tide"), cover(motif, PALETTE, "tidf"));
        }
    }

    #[test]
    fn a_roll_stays_inside_its_bounds() {
        let mut dice = Dice::new("");
        let rolls: Vec<_> = (0..500).map(|_| dice.roll(-3, 3)).collect();
        assert!(rolls.iter().all(|roll| (-3..=3).contains(roll)));
        assert!(rolls.contains(&-3) && rolls.contains(&3));
    }
}
