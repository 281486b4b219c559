<?php
// Those of users.csv, and who may edit.
$lines = '';
for ($number = 0; $number < 400; $number++) {
    $lines .= "writer-$number:" . md5("sesame-$number") . ":Writer $number:writer-$number@example.test:user\n";
}
$folder = is_dir('/var/lib/dokuwiki/acl') ? '/var/lib/dokuwiki/acl' : '/etc/dokuwiki';
file_put_contents("$folder/users.auth.php", $lines);
file_put_contents("$folder/acl.auth.php", "*\t@ALL\t1\n*\t@user\t8\n");
