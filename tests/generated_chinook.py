"""A small database of the shape of Chinook, for machines without the real one: its 11 tables."""

from __future__ import annotations

TABLES = """
create table artist (artist_id int primary key, name varchar(120));
create table album (album_id int primary key, title varchar(160) not null, artist_id int not null references artist);
create table employee (employee_id int primary key, last_name varchar(20) not null, first_name varchar(20) not null,
  title varchar(30), reports_to int references employee, birth_date timestamp, hire_date timestamp, city varchar(40));
create table customer (customer_id int primary key, first_name varchar(40) not null, last_name varchar(20) not null,
  company varchar(80), city varchar(40), email varchar(60) not null, support_rep_id int references employee);
create table genre (genre_id int primary key, name varchar(120));
create table media_type (media_type_id int primary key, name varchar(120));
create table invoice (invoice_id int primary key, customer_id int not null references customer,
  invoice_date timestamp not null, billing_city varchar(40), total numeric(10,2) not null);
create table track (track_id int primary key, name varchar(200) not null, album_id int references album,
  media_type_id int not null references media_type, genre_id int references genre, composer varchar(220),
  milliseconds int not null, bytes int, unit_price numeric(10,2) not null);
create table invoice_line (invoice_line_id int primary key, invoice_id int not null references invoice,
  track_id int not null references track, unit_price numeric(10,2) not null, quantity int not null);
create table playlist (playlist_id int primary key, name varchar(120));
create table playlist_track (playlist_id int references playlist, track_id int references track,
  primary key (playlist_id, track_id));
"""
ROWS = """
insert into artist select n, 'Artist ' || n from generate_series(1, 40) n;
insert into album select n, 'Album ' || n, n % 40 + 1 from generate_series(1, 80) n;
insert into employee select n, 'Last ' || n, 'Größe ' || n, null, nullif(n / 2, 0), '1962-02-18',
  '2002-08-14 12:30:00.5', 'Calgary' from generate_series(1, 8) n;
insert into customer select n, 'First ' || n, 'Last ' || n, null, 'São Paulo', n || '@example.org', n % 8 + 1
  from generate_series(1, 30) n;
insert into genre select n, 'Genre ' || n from generate_series(1, 10) n;
insert into media_type select n, 'Type ' || n from generate_series(1, 5) n;
insert into invoice select n, n % 30 + 1, timestamp '2021-01-01' + n * interval '1 day', null, n * 0.99
  from generate_series(1, 100) n;
insert into track select n, 'Track ' || n, n % 80 + 1, n % 5 + 1, n % 10 + 1, null, n * 1000, n * 7, 0.99
  from generate_series(1, 400) n;
insert into invoice_line select n, n % 100 + 1, n % 400 + 1, 0.99, 1 from generate_series(1, 300) n;
insert into playlist select n, 'List ' || n from generate_series(1, 6) n;
insert into playlist_track select p, t from generate_series(1, 6) p, generate_series(1, 400, 7) t;
"""


def script() -> str:
    """The SQL that makes the database."""
    return TABLES + ROWS
