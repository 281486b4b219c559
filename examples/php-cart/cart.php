<?php
// A cart in PHP's own session: log in by form, add, look, log out. It knows nothing of steadfast.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$is_post = $_SERVER['REQUEST_METHOD'] === 'POST';

session_start();
if ($is_post && $path === '/login') {
    if (($_POST['password'] ?? '') !== 'password-of-' . ($_POST['user'] ?? '')) {
        http_response_code(403);
        exit('wrong password');
    }
    session_regenerate_id(true);
    $_SESSION = ['user' => $_POST['user'], 'items' => []];
    header('Location: /cart', true, 303);
    exit;
}
if ($path === '/login') {
    exit('<form method=post><input name=user><input name=password type=password><button>Log in</button></form>');
}
if (!isset($_SESSION['user'])) {
    header('Location: /login', true, 303);
    exit;
}
if ($is_post && $path === '/logout') {
    session_destroy();
    http_response_code(204);
    exit;
}
if ($is_post && $path === '/cart') {
    $_SESSION['items'][] = $_POST['sku'];
    http_response_code(201);
    exit;
}
header('Content-Type: application/json');
echo json_encode($_SESSION);
