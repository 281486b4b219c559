package steadfast;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What a session holds, as docker/CONTRACT.md defines it. Immutable: a write makes a new one and sets
 * the attribute again, which is how a servlet tells Tomcat that there is something to replicate.
 */
final class State implements Serializable {
    private static final long serialVersionUID = 1L;
    /** How many of the last operation ids a reply shows. */
    static final int TAIL = 8;
    private static final long FNV_OFFSET_BASIS = 0xcbf29ce484222325L;
    private static final long FNV_PRIME = 0x100000001b3L;

    final String owner;
    final String epoch;
    final long version;
    final long digest;
    final ArrayList<String> tail;

    private State(String owner, String epoch, long version, long digest, List<String> tail) {
        this.owner = owner;
        this.epoch = epoch;
        this.version = version;
        this.digest = digest;
        this.tail = new ArrayList<>(tail);
    }

    static State create(String owner) {
        return new State(owner, Node.randomHex(), 0, FNV_OFFSET_BASIS, List.of());
    }

    /** The same session with another owner. */
    State ownedBy(String other) {
        return new State(other, epoch, version, digest, tail);
    }

    State append(String op) {
        List<String> longer = new ArrayList<>(tail);
        longer.add(op);
        return new State(owner, epoch, version + 1, chain(digest, op),
                longer.subList(Math.max(0, longer.size() - TAIL), longer.size()));
    }

    /** Writes it where a client keeps it. */
    void write(DataOutputStream out) throws IOException {
        out.writeUTF(owner);
        out.writeUTF(epoch);
        out.writeLong(version);
        out.writeLong(digest);
        out.writeByte(tail.size());
        for (String op : tail) {
            out.writeUTF(op);
        }
    }

    /** Reads what {@link #write} wrote. */
    static State read(DataInputStream in) throws IOException {
        String owner = in.readUTF();
        String epoch = in.readUTF();
        long version = in.readLong();
        long digest = in.readLong();
        List<String> tail = new ArrayList<>();
        for (int left = in.readUnsignedByte(); left > 0; left--) {
            tail.add(in.readUTF());
        }
        return new State(owner, epoch, version, digest, tail);
    }

    /** FNV-1a, 64 bits, over the eight bytes of the digest so far (big end first), then the operation id. */
    private static long chain(long digest, String op) {
        long hash = FNV_OFFSET_BASIS;
        for (int shift = 56; shift >= 0; shift -= 8) {
            hash = (hash ^ ((digest >>> shift) & 0xff)) * FNV_PRIME;
        }
        for (byte b : op.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * FNV_PRIME;
        }
        return hash;
    }
}
