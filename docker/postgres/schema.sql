-- Columns as Tomcat's DataSourceStore asks for them.
CREATE ROLE sessions LOGIN;
CREATE DATABASE sessions OWNER sessions;
\connect sessions
SET ROLE sessions;
CREATE TABLE tomcat_sessions (
  session_id    varchar(100) PRIMARY KEY,
  valid_session char(1)      NOT NULL,
  max_inactive  int          NOT NULL,
  last_access   bigint       NOT NULL,
  app_name      varchar(255),
  session_data  bytea
);
CREATE INDEX tomcat_sessions_app_name ON tomcat_sessions (app_name);
