// Names of places as the wall writes them. Pure.
import type { Device, ProvinceMap } from '../wire/http';

/** Area code to its name in one language. */
export function areaNames(map: ProvinceMap | null, lang: 'vi' | 'en'): Map<string, string> {
  const names = new Map<string, string>();
  for (const { properties } of map?.features ?? []) {
    const { layer, code, name, name_en } = properties;
    const written = lang === 'en' ? (name_en ?? name) : name;
    if (layer === 'area' && code !== undefined && written) names.set(code, written.normalize('NFC'));
  }
  return names;
}

/** `Trạm Mỹ Tho (sông Tiền)` is `Trạm Mỹ Tho` in a list. */
export function plainName(name: string): string {
  return name.replace(/\s*\(.*$/, '');
}

/** `Trạm Mỹ Tho (sông Tiền)` is `Mỹ Tho` on the map: its marker says the rest. */
export function shortName(name: string): string {
  const short = plainName(name)
    .replace(/^(Trạm thủy văn|Trạm đo mưa|Trạm|Điểm đo|Phường|Xã|Thị trấn)\s+/, '')
    .replace(/\s+(hydrological station|station|gauge|ward|commune)$/i, '');
  return short.charAt(0).toLocaleUpperCase('vi') + short.slice(1);
}

export function placeOf(
  area: string | undefined,
  device: Device | undefined,
  names: Map<string, string>,
): string | undefined {
  const code = area ?? device?.area;
  return code === undefined ? undefined : names.get(code);
}
