//! When bytes came, by kernel timestamps: for a thread that does not look at once. Where the kernel does not tell, they came
//! when they were read.

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

    /// Lets the kernel stamp what the socket receives.
    ///
    /// # Errors
    /// When it cannot.
    pub fn ask_for_stamps(socket: &Socket) -> io::Result<()> {
        Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
    }

    /// Reads what is there. Returns how many bytes, and how long ago the last of them came.
    ///
    /// # Errors
    /// Those of the socket.
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
    fn bytes_that_have_lain_there_came_when_they_came_and_not_when_they_were_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        ask_for_stamps(&SockRef::from(&near).try_clone().unwrap()).unwrap();
        let mut near = mio::net::TcpStream::from_std(near);
        // The kernel may begin to stamp a moment after the first socket has asked for it.
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
