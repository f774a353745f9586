//! A curve in characters.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws values from left to right in at most `width` columns and `height` rows, with the largest and smallest named.
/// Columns are means of equal parts. Empty for fewer than two finite values.
pub(crate) fn curve(values: &[f32], width: usize, height: usize) -> String {
    let values: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.len() < 2 || width == 0 || height == 0 {
        return String::new();
    }
    let columns = columns(&values, width);
    let top = columns.iter().copied().fold(f32::MIN, f32::max);
    let bottom = columns.iter().copied().fold(f32::MAX, f32::min);
    let span = (top - bottom).max(f32::EPSILON);
    let levels = height * BLOCKS.len() - 1;
    // The lowest column keeps one eighth, so that every column is seen.
    let scaled: Vec<usize> = columns
        .iter()
        .map(|value| ((value - bottom) / span * levels as f32).round() as usize + 1)
        .collect();
    let mut lines = Vec::with_capacity(height);
    for row in (0..height).rev() {
        let floor = row * BLOCKS.len();
        let cells: String = scaled
            .iter()
            .map(|level| match level.saturating_sub(floor) {
                0 => ' ',
                eighths => BLOCKS[eighths.min(BLOCKS.len()) - 1],
            })
            .collect();
        let label = match row {
            _ if row + 1 == height => format!("{top:7.3}"),
            0 => format!("{bottom:7.3}"),
            _ => " ".repeat(7),
        };
        lines.push(format!("{label} {cells}").trim_end().to_owned());
    }
    lines.join("\n")
}

fn columns(values: &[f32], width: usize) -> Vec<f32> {
    let width = width.min(values.len());
    (0..width)
        .map(|column| {
            let part = &values[column * values.len() / width..(column + 1) * values.len() / width];
            part.iter().sum::<f32>() / part.len() as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_loss_falls_on_the_screen() {
        let values: Vec<f32> = (0..100).map(|step| 5.0 - step as f32 * 0.04).collect();
        let drawn = curve(&values, 20, 4);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains("4.9") && lines[3].contains("1.1"), "{drawn}");
        let width = |line: &str| line.chars().skip(8).filter(|c| *c != ' ').count();
        assert!(width(lines[0]) < width(lines[3]), "{drawn}");
        assert_eq!(width(lines[3]), 20, "{drawn}");
    }

    #[test]
    fn nothing_to_draw_draws_nothing() {
        assert_eq!(curve(&[], 10, 3), "");
        assert_eq!(curve(&[1.0, f32::NAN], 10, 3), "");
        assert!(!curve(&[1.0, 1.0, 1.0], 10, 3).is_empty());
    }
}
