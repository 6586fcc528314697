/** The page's script and style, minified, as scripts/page.mjs builds them from src/console/page/main.tsx. */
declare module "odoo-pg:page" {
  export const script: string;
  export const style: string;
}
