-- Kitahama Trust's evening classes: a product table as a firm's own database would have it, and all of it invented.
-- A price that is changed here is in the next answer: the source `kitahama-products` in groundtone.toml polls it.

CREATE TABLE products (
  sku TEXT PRIMARY KEY,
  lang TEXT NOT NULL CHECK (lang IN ('en', 'ja', 'zh-TW')),
  name TEXT NOT NULL,
  minutes INTEGER NOT NULL,
  price INTEGER NOT NULL,
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);

-- Whoever changes a row need not remember its timestamp.
CREATE TRIGGER products_touched AFTER UPDATE ON products WHEN NEW.updated_at = OLD.updated_at BEGIN
  UPDATE products SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE sku = NEW.sku;
END;

-- What the assistant reads: a sentence a row, in the language of the clients whom the product is for.
CREATE VIEW product_facts AS
SELECT sku, name, updated_at, CASE lang
    WHEN 'en' THEN 'The fee of the ' || name || ' is ' || printf('%,d', price) || ' yen; it lasts ' || minutes || ' minutes.'
    WHEN 'ja' THEN name || 'の料金は' || printf('%,d', price) || '円、所要時間は' || minutes || '分です。'
    ELSE name || '的費用為新臺幣' || printf('%,d', price) || '元，時間為' || minutes || '分鐘。'
  END AS fact
FROM products;

INSERT INTO products (sku, lang, name, minutes, price, updated_at) VALUES
  ('classes/pilot-arrival', 'en', 'Pilot Arrival Class', 45, 8800, '2026-04-01 00:00:00.000'),
  ('classes/pilot-estate', 'en', 'Pilot Estate Class', 90, 27500, '2026-04-01 00:00:00.000'),
  ('classes/pilot-tax', 'en', 'Pilot Tax Class', 60, 19800, '2026-06-01 00:00:00.000'),
  ('classes/pilot-family', 'en', 'Pilot Family Class', 75, 15400, '2026-06-01 00:00:00.000'),
  ('classes/mizusaki-shisan', 'ja', '水先講座「資産づくり」', 90, 24200, '2026-04-01 00:00:00.000'),
  ('classes/mizusaki-taishoku', 'ja', '水先講座「退職後のくらし」', 60, 13200, '2026-04-01 00:00:00.000'),
  ('classes/mizusaki-jigyo', 'ja', '水先講座「事業承継」', 120, 49500, '2026-07-01 00:00:00.000'),
  ('classes/mizusaki-kyoiku', 'ja', '水先講座「教育資金」', 45, 7700, '2026-07-01 00:00:00.000'),
  ('classes/linghang-licai', 'zh-TW', '領航理財講座', 90, 6300, '2026-04-01 00:00:00.000'),
  ('classes/linghang-tuixiu', 'zh-TW', '領航退休講座', 60, 3600, '2026-04-01 00:00:00.000'),
  ('classes/linghang-chuangye', 'zh-TW', '領航創業講座', 75, 4500, '2026-09-01 00:00:00.000'),
  ('classes/linghang-jiaoyu', 'zh-TW', '領航教育金講座', 45, 2100, '2026-09-01 00:00:00.000');
