//! Parses the dates of cookies in any format: the algorithm of RFC 6265bis, section 5.1.1, accepts the parts of a date
//! in any order.

/// The months by their first letters.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Returns a date as Unix time in seconds, or `None` if `text` is not a date.
pub fn parse(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none()
            && let Some(found) = time_of(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1..=2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2..=4)
        {
            year = Some(found);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let year = match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        _ => year,
    };
    if year < 1601 {
        return None;
    }
    let civil = jiff::civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        0,
    );
    Some(civil.ok()?.duration_since(jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs())
}

/// Tab, and every printable ASCII character except letters, digits and colons.
fn is_delimiter(character: char) -> bool {
    matches!(character, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// Parses `h:m:s`, each of one or two digits; a character that is not a digit may follow.
fn time_of(token: &str) -> Option<(u32, u32, u32)> {
    let mut parts = token.splitn(3, ':');
    let (hour, minute) = (number_alone(parts.next()?)?, number_alone(parts.next()?)?);
    let second = number(parts.next()?, 1..=2)?;
    Some((hour, minute, second))
}

fn number_alone(text: &str) -> Option<u32> {
    number(text, 1..=2).filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Parses the leading digits if their number is within `digits`.
fn number(token: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let length = token.bytes().take_while(u8::is_ascii_digit).count();
    digits.contains(&length).then(|| token.get(..length)?.parse().ok())?
}

fn month_of(token: &str) -> Option<u32> {
    let begin = token.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS).find(|(_, month)| *month == begin).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_format_that_browsers_accept_is_parsed() {
        for form in [
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wednesday, 21-Oct-15 07:28:00 GMT",
            "Wed Oct 21 07:28:00 2015",
            "Wed, 21-Oct-2015 07:28:00 GMT",
            "21 Oct 2015 07:28:00",
            "21/oct/2015 07:28:00",
            "2015 October 21 7:28:0 UTC",
            "07:28:00 21 OCT 15",
            "Wed, 21 Oct 2015 07:28:00 +0200",
        ] {
            assert_eq!(parse(form), Some(1_445_412_480), "{form}");
        }
        assert_eq!(parse("Thu, 01-Jan-1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
    }

    #[test]
    fn text_that_is_no_date_gives_none() {
        for form in [
            "",
            "tomorrow",
            "21 Oct 2015",
            "Oct 2015 07:28:00",
            "32 Oct 2015 07:28:00",
            "30 Feb 2015 07:28:00",
            "21 Oct 1600 07:28:00",
            "21 Oct 2015 24:00:00",
            "21 Oct 2015 07:60:00",
            "21 Oct 2015 07:28",
            "21 Oct 20150 07:28:00",
            "\u{e4} Oct",
        ] {
            assert_eq!(parse(form), None, "{form}");
        }
    }
}
