-- The latest keys that each device has leased: a device that asks again, because it did not hear the answer, gets the same ones.
CREATE TABLE holdfast.lease (
  tbl integer NOT NULL,
  device text COLLATE "C" NOT NULL,
  ask text NOT NULL,
  ranges text NOT NULL,
  PRIMARY KEY (tbl, device)
);
