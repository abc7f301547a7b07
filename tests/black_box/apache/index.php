<?php
// Plays the PIM's token endpoint, its list and its reads of products, and the destination. Says of every request what
// arrived of its body.
$body = file_get_contents('php://input');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$method = $_SERVER['REQUEST_METHOD'];
$received = [
    'method' => $method,
    'path' => $path,
    'announced' => $_SERVER['CONTENT_LENGTH'] ?? null,
    'agent' => $_SERVER['HTTP_USER_AGENT'] ?? null,
    'length' => strlen($body),
    'sha256' => hash('sha256', $body),
];
file_put_contents('../received', json_encode($received) . "\n", FILE_APPEND | LOCK_EX);

function answer(int $status, string $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo $body;
    exit;
}

function refuse(int $status, string $message): never
{
    answer($status, json_encode(['code' => $status, 'message' => $message]));
}

if ($path === '/api/oauth/v1/token') {
    $asked = json_decode($body, true) ?? [];
    if (!isset($asked['grant_type'])) {
        refuse(422, 'Parameter "grant_type", "username" or "password" is missing, empty or invalid');
    }
    // One that is over at once, so that every call needs another.
    answer(200, json_encode([
        'access_token' => bin2hex(random_bytes(40)),
        'expires_in' => 0,
        'token_type' => 'bearer',
        'scope' => null,
        'refresh_token' => bin2hex(random_bytes(40)),
    ]));
}
if (str_starts_with($path, '/api/') && !preg_match('/^Bearer \w{80}$/', $_SERVER['HTTP_AUTHORIZATION'] ?? '')) {
    refuse(401, 'Authentication is required');
}
if ($path === '/api/rest/v1/products-uuid/search') {
    $search = json_decode(json_decode($body, true)['search'] ?? '', true);
    $items = [];
    foreach ($search['uuid'][0]['value'] ?? [] as $uuid) {
        // The list lags behind for some, which are then read by id.
        if (!str_contains('048c', $uuid[-1])) {
            $items[] = file_get_contents("../products/$uuid");
        }
    }
    answer(200, '{"_links":{},"_embedded":{"items":[' . implode(',', $items) . ']}}');
}
if (preg_match('~^/api/rest/v1/products-uuid/([0-9a-f-]+)$~', $path, $match)) {
    answer(200, file_get_contents("../products/$match[1]"));
}
if (str_starts_with($path, '/products/')) {
    answer($body === '' ? 400 : 200, '{}');
}
refuse(404, "No route found for \"$method $path\"");
