create table products (id int primary key, name text, stock int);
insert into products select n, 'product ' || n, n % 90 from generate_series(1, 1000) n;
create table sales (id int primary key, city text, amount int);
insert into sales select n, (array['Zürich', 'Örebro', 'Łódź', 'Århus', 'Québec'])[1 + n % 5], n * 7919 % 100000
  from generate_series(1, 50000) n;
create table orders (id int primary key, product int, state text);
insert into orders select n, 1 + n % 1000, 'open' from generate_series(1, 1000) n;
