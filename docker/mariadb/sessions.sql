CREATE DATABASE IF NOT EXISTS sessions;
CREATE USER IF NOT EXISTS sessions@'%';
GRANT ALL ON sessions.* TO sessions@'%';
