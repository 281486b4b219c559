//! When bytes arrived, from kernel timestamps, for a thread that does not read them at once. Without a timestamp, they
//! count as arrived when they are read.

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use mio::net::TcpStream;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
    use nix::sys::time::TimeSpec;
    use nix::time::{ClockId, clock_gettime};
    use socket2::Socket;

    /// Makes the kernel timestamp the bytes that the socket receives.
    ///
    /// # Errors
    /// When the kernel cannot.
    pub fn ask_for_stamps(socket: &Socket) -> io::Result<()> {
        Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
    }

    /// Reads the available bytes. Returns how many, and how long ago the last of them arrived.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn read(stream: &TcpStream, bytes: &mut [u8]) -> io::Result<(usize, Duration)> {
        let mut space = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(bytes)];
        let received = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
        let stamp = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let since = match stamp {
            Some(stamp) => Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?).saturating_sub(stamp),
            None => Duration::ZERO,
        };
        Ok((received.bytes, since))
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io::{self, Read};
    use std::time::Duration;

    use mio::net::TcpStream;
    use socket2::Socket;

    pub fn ask_for_stamps(_: &Socket) -> io::Result<()> {
        Ok(())
    }

    pub fn read(mut stream: &TcpStream, bytes: &mut [u8]) -> io::Result<(usize, Duration)> {
        Ok((stream.read(bytes)?, Duration::ZERO))
    }
}

#[cfg(target_os = "linux")]
pub use linux::{ask_for_stamps, read};
#[cfg(not(target_os = "linux"))]
pub use other::{ask_for_stamps, read};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn bytes_that_are_read_late_have_their_arrival_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        ask_for_stamps(&SockRef::from(&near).try_clone().unwrap()).unwrap();
        let mut near = mio::net::TcpStream::from_std(near);
        // The kernel may begin to take timestamps a moment after the first socket has asked for them.
        let mut bytes = [0; 16];
        for attempt in 0.. {
            far.write_all(b"hello").unwrap();
            let sent = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
            let (read, since) = read(&near, &mut bytes).unwrap();
            assert_eq!((read, &bytes[..5]), (5, &b"hello"[..]));
            assert!(since <= sent.elapsed() + Duration::from_millis(1));
            if since >= Duration::from_millis(49) {
                break;
            }
            assert!(attempt < 20, "{since:?}");
        }
        let _ = near.flush();
    }
}
