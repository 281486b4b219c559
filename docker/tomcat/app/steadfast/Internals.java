package steadfast;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.catalina.Context;
import org.apache.catalina.Manager;
import org.apache.catalina.ha.CatalinaCluster;
import org.apache.catalina.ha.session.DeltaSession;
import org.apache.catalina.session.ManagerBase;
import org.apache.catalina.tribes.Member;
import org.apache.catalina.tribes.tipis.AbstractReplicatedMap;

/** What Tomcat knows of its cluster and its sessions; read through Catalina's own classes. */
final class Internals {
    /** Sessions of this node by role. A proxy knows only where the session is. */
    static final class Roles {
        long primary;
        long backup;
        long proxy;
    }

    private Internals() {}

    /** The cluster members that this node sees, itself included; it alone where nothing is clustered. */
    static List<String> members(Context context) {
        List<String> names = new ArrayList<>();
        names.add(Node.NAME);
        if (context.getCluster() instanceof CatalinaCluster cluster) {
            for (Member member : cluster.getMembers()) {
                byte[] id = member.getUniqueId();
                names.add("app-" + id[id.length - 1]);
            }
        }
        names.sort(null);
        return names;
    }

    static Roles roles(Context context) throws ReflectiveOperationException {
        Manager manager = context.getManager();
        Roles roles = new Roles();
        // `sessions` is protected in ManagerBase, and the public views of BackupManager leave out
        // the entries that this test is about: backups and proxies.
        Field field = ManagerBase.class.getDeclaredField("sessions");
        field.setAccessible(true);
        Object sessions = field.get(manager);
        if (sessions instanceof AbstractReplicatedMap<?, ?> map) {
            for (Map.Entry<?, ?> entry : map.entrySetFull()) {
                count(roles, (AbstractReplicatedMap.MapEntry<?, ?>) entry.getValue());
            }
        } else {
            for (Object session : ((Map<?, ?>) sessions).values()) {
                boolean copy = session instanceof DeltaSession delta && !delta.isPrimarySession();
                roles.primary += copy ? 0 : 1;
                roles.backup += copy ? 1 : 0;
            }
        }
        return roles;
    }

    private static void count(Roles roles, AbstractReplicatedMap.MapEntry<?, ?> entry) {
        if (entry.isPrimary()) {
            roles.primary++;
        } else if (entry.isProxy()) {
            roles.proxy++;
        } else {
            roles.backup++;
        }
    }
}
