package steadfast;

import jakarta.servlet.http.Cookie;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * With the client: each reply that changes the session carries all of it in a cookie that is signed, not encrypted.
 * No node holds anything, and none can end a session: it can only ask the client to forget it.
 */
final class ClientSessions implements Sessions {
    private static final String COOKIE = "STATE";
    /** What all nodes know and clients should not. It guards nothing but test sessions. */
    private static final SecretKeySpec KEY =
            new SecretKeySpec("a key for sessions that are only tests".getBytes(StandardCharsets.UTF_8), "HmacSHA256");
    /** What browsers keep of a cookie (RFC 6265, section 6.1), less room for its name and attributes. */
    private static final int MOST_CHARACTERS = 4096 - 64;

    private final int expiresAfterSeconds;

    /** Sessions that end so many seconds after their cookie was made; 0: never. */
    ClientSessions(int expiresAfterSeconds) {
        this.expiresAfterSeconds = expiresAfterSeconds;
    }

    /** Each request brings a session of its own: there is nothing that two could share. */
    @Override
    public Object lockOf(HttpServletRequest request) {
        return new Object();
    }

    @Override
    public Content find(HttpServletRequest request) {
        return open(request);
    }

    @Override
    public void create(HttpServletRequest request, HttpServletResponse response, Content content) throws TooLarge {
        seal(response, content);
    }

    @Override
    public void update(HttpServletRequest request, HttpServletResponse response, Content next, boolean hasChangedBytes)
            throws TooLarge {
        seal(response, next);
    }

    /** The whole session is its id: the cookie from before goes on to show what it showed. */
    @Override
    public void logIn(HttpServletRequest request, HttpServletResponse response, Content own) throws TooLarge {
        seal(response, own);
    }

    /** Where sessions expire, a read makes the cookie anew, too. */
    @Override
    public void wasRead(HttpServletResponse response, Content content) {
        if (expiresAfterSeconds > 0) {
            try {
                seal(response, content);
            } catch (TooLarge impossible) {
                throw new IllegalStateException(impossible);
            }
        }
    }

    @Override
    public boolean end(HttpServletRequest request, HttpServletResponse response) {
        if (open(request) == null) {
            return false;
        }
        response.addCookie(cookie("", 0));
        return true;
    }

    private static Cookie cookie(String value, int maxAge) {
        Cookie cookie = new Cookie(COOKIE, value);
        cookie.setPath("/");
        cookie.setHttpOnly(true);
        cookie.setMaxAge(maxAge);
        return cookie;
    }

    private static void seal(HttpServletResponse response, Content content) throws TooLarge {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeLong(System.currentTimeMillis());
            content.state().write(out);
            for (byte[] part : new byte[][] {content.payload(), content.changing()}) {
                out.writeInt(part.length);
                out.write(part);
            }
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        Base64.Encoder encoder = Base64.getUrlEncoder().withoutPadding();
        byte[] sealed = bytes.toByteArray();
        String value = encoder.encodeToString(sealed) + "." + encoder.encodeToString(signature(sealed));
        if (value.length() > MOST_CHARACTERS) {
            throw new TooLarge(
                    "the session takes " + value.length() + " bytes in a cookie, and browsers keep " + MOST_CHARACTERS);
        }
        response.addCookie(cookie(value, -1));
    }

    private Content open(HttpServletRequest request) {
        if (request.getCookies() == null) {
            return null;
        }
        for (Cookie cookie : request.getCookies()) {
            int dot = cookie.getValue().indexOf('.');
            if (!cookie.getName().equals(COOKIE) || dot < 0) {
                continue;
            }
            try {
                byte[] sealed = Base64.getUrlDecoder().decode(cookie.getValue().substring(0, dot));
                byte[] signature = Base64.getUrlDecoder().decode(cookie.getValue().substring(dot + 1));
                if (MessageDigest.isEqual(signature, signature(sealed))) {
                    return read(sealed);
                }
            } catch (IllegalArgumentException | IOException notOurs) {
                // Whoever made it, it is no session.
                continue;
            }
        }
        return null;
    }

    /** What a cookie holds; null where it is too old. */
    private Content read(byte[] sealed) throws IOException {
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(sealed))) {
            long ageMs = System.currentTimeMillis() - in.readLong();
            if (expiresAfterSeconds > 0 && ageMs >= expiresAfterSeconds * 1000L) {
                return null;
            }
            State state = State.read(in);
            byte[] payload = in.readNBytes(in.readInt());
            return new Content(state, payload, in.readNBytes(in.readInt()));
        }
    }

    private static byte[] signature(byte[] bytes) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(KEY);
            return mac.doFinal(bytes);
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
