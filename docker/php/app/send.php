<?php
// A request to PHP is answered by the contract over these sessions.
declare(strict_types=1);

require __DIR__ . '/contract.php';

function answer(Sessions $sessions): void
{
    $path = strtok($_SERVER['REQUEST_URI'], '?');
    [$status, $body] = (new Contract($sessions))
        ->answer($_SERVER['REQUEST_METHOD'], $path, file_get_contents('php://input'), $_GET);
    http_response_code($status);
    if ($body !== null) {
        header('Content-Type: application/json');
        echo json_encode($body, JSON_UNESCAPED_SLASHES);
    }
}
