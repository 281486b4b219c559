package steadfast;

import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

/** Everything that a session holds: its state, what no operation changes, and what the last one has put there. */
record Content(State state, byte[] payload, byte[] changing) {
    private static final byte[] NOTHING = new byte[0];

    Content {
        payload = payload == null ? NOTHING : payload;
        changing = changing == null ? NOTHING : changing;
    }

    /** How many bytes there are beside the state. */
    int bytes() {
        return payload.length + changing.length;
    }

    /** The checksum of these bytes. */
    String crc32() {
        CRC32 sum = new CRC32();
        sum.update(payload);
        sum.update(changing);
        return String.format("%08x", sum.getValue());
    }

    /** The bytes that belong to a text, as docker/CONTRACT.md defines them: any reader can tell whether they are right. */
    static byte[] bytesOf(String text, int count) {
        CRC32 seed = new CRC32();
        seed.update(text.getBytes(StandardCharsets.UTF_8));
        int number = (int) seed.getValue();
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            number = number * 1664525 + 1013904223;
            bytes[i] = (byte) (number >>> 24);
        }
        return bytes;
    }
}
